/** The path of the call `Check` (https://github.com/grpc/grpc/blob/master/doc/health-checking.md). */
export const grpcHealthPath = "/grpc.health.v1.Health/Check";

/** The value of `HealthCheckResponse.status` for a service that accepts requests. */
export const servingStatus = 1;

/** The flag of compression and the length of the message, which precede each gRPC message. */
const prefixBytes = 5;
/** The tag of `HealthCheckRequest.service`: field 1, a text. */
const serviceTag = 0x0a;
/** The tag of `HealthCheckResponse.status`: field 1, a number. */
const statusTag = 0x08;

/** The body of the request: a gRPC message with a `HealthCheckRequest`. An empty name asks for the whole server. */
export function healthRequest(service: string): Buffer {
  const name = Buffer.from(service);
  const message = name.length === 0 ? name : Buffer.concat([Buffer.from([serviceTag, ...varint(name.length)]), name]);
  const prefix = Buffer.alloc(prefixBytes);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** The status in the body of a response. Returns undefined if the body contains no status. */
export function healthStatus(body: Uint8Array): number | undefined {
  return body[prefixBytes] === statusTag ? body[prefixBytes + 1] : undefined;
}

/** The number as a varint of protobuf: seven bits in each byte, the lowest ones first. */
function varint(number: number): number[] {
  const bytes: number[] = [];
  let rest = number;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest];
}
