// The client and the server of the probe matrix.
export { runProbeClient } from "./probe-client.ts";
export type { PairReport, ProbeReport } from "./probe-report.ts";
export { runProbeServer } from "./probe-server.ts";
export { parseProbeTargets, type ProbeTarget } from "./probe-targets.ts";
