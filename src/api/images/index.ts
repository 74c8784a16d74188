export { defaultHub } from "./default-hub.ts";
