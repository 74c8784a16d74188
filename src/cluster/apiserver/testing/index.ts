// A complete API server in the test's own process, and a client for it.
export { ServerHarness, type Answer, type Json } from "./server-harness.ts";
