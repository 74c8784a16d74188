export const routingKinds: ReadonlySet<string> = new Set([
  "VirtualService",
  "HTTPRoute",
  "GRPCRoute",
  "DestinationRule",
  "Service",
  "ReferenceGrant",
]);

/** The keys of users' routes, and of those that the engine makes. */
export const routeKey = /\/(HTTPRoute|GRPCRoute|VirtualService)\//;
