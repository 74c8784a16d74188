export const routingKinds: ReadonlySet<string> = new Set([
  "VirtualService",
  "HTTPRoute",
  "GRPCRoute",
  "DestinationRule",
  "Service",
  "ReferenceGrant",
]);

/** Matches the keys of routes, both the users' and those that the engine makes. */
export const routeKey = /\/(HTTPRoute|GRPCRoute|VirtualService)\//;
