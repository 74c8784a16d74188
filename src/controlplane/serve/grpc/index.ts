// A gRPC server on frames and byte streams of our own, through which the control plane serves proxies.
export type { GrpcCall } from "./grpc-call.ts";
export { GrpcServer, type GrpcMethod } from "./grpc-server.ts";
export { grpcStatus, type GrpcStatus } from "./grpc-status.ts";
export { RotatingCertificate } from "./rotating-certificate.ts";
export { unaryMethod } from "./unary-method.ts";
