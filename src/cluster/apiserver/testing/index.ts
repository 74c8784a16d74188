export { ServerHarness } from "../server-harness.ts";
