// A gRPC server on frames and byte streams of our own: what the control plane serves to proxies.
export type { GrpcCall } from "./grpc-call.ts";
export { GrpcServer, type GrpcMethod } from "./grpc-server.ts";
export { grpcStatus, type GrpcStatus } from "./grpc-status.ts";
export { RotatingCertificate } from "./rotating-certificate.ts";
export { unaryMethod } from "./unary-method.ts";
