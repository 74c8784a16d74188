// Test support of this part for the tests of other parts.
export { blackHole, inboundCluster, passthrough, transparentInbound, virtualOutbound } from "./mesh-config.ts";
export { TestProxy } from "./test-proxy.ts";
