// The part of Kiali's API about the graph.
export { KialiApi } from "./kiali-api.ts";
export { parseKialiConfig, type KialiConfig } from "./kiali-config.ts";
