// The messages of gRPC's health checks, as probes send and read them.
export { grpcHealthPath, healthRequest, healthStatus, servingStatus } from "./grpc-health.ts";
