// An API server in the test's own process.
export { ServerHarness } from "../server-harness.ts";
