import { isIPv6 } from "node:net";
import type { PeerCertificate } from "node:tls";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { describeError, toSerinError, transientError, userError, type Clock, type Logger } from "../../base/index.ts";
import { type IstioCertificateRequest, IstioCertificateRequestSchema, IstioCertificateResponseSchema } from "../../wire/workload/index.ts";
import { discoveryMethods } from "../../wire/xds/index.ts";
import type { Authenticator, Caller, CertificateMetrics, CertificateService, Credentials, ServingCertificate } from "../ca/index.ts";
import type { DiscoveryServer } from "./discovery-server.ts";
import { addDiscoveryService, statusOf } from "./grpc-service.ts";

/** Server credentials whose certificate can be replaced while connections are open. Client certificates are optional. */
export class RotatingServerCredentials extends grpc.ServerCredentials {
  constructor(certificate: ServingCertificate, clientRoots: string) {
    super({ requestCert: true, rejectUnauthorized: false }, contextOf(certificate, clientRoots));
  }

  rotate(certificate: ServingCertificate, clientRoots: string): void {
    this.updateSecureContextOptions(contextOf(certificate, clientRoots));
  }

  override _equals(other: grpc.ServerCredentials): boolean {
    return this === other;
  }
}

function contextOf(certificate: ServingCertificate, clientRoots: string): { ca: string; cert: string; key: string; minVersion: "TLSv1.2" } {
  return { ca: clientRoots, cert: certificate.certificate, key: certificate.privateKey, minVersion: "TLSv1.2" };
}

export interface GrpcServersOptions {
  readonly discovery: DiscoveryServer;
  readonly authenticator: Authenticator;
  readonly certificates: CertificateService;
  readonly certificateMetrics: CertificateMetrics;
  readonly log: Logger;
}

/** Requests are small; a client that says more than this is broken. */
const maxRequestBytes = 4 << 20;
const keepaliveMs = 30_000;
const keepaliveTimeoutMs = 10_000;
const serverOptions: grpc.ServerOptions = {
  "grpc.max_receive_message_length": maxRequestBytes,
  "grpc.max_send_message_length": -1,
  // Nobody asks for these counts, which each message would add to.
  "grpc.enable_channelz": 0,
  "grpc.keepalive_time_ms": keepaliveMs,
  "grpc.keepalive_timeout_ms": keepaliveTimeoutMs,
};

/** A server of discovery without TLS and without questions: for the pod's own network only. */
export function createPlaintextServer(options: Pick<GrpcServersOptions, "discovery" | "log">): grpc.Server {
  const server = new grpc.Server(serverOptions);
  addDiscoveryService(server, { discovery: options.discovery, authenticate: undefined, log: options.log, maxRequestBytes });
  return server;
}

/** A server of discovery and of the certificate service, for authenticated callers. */
export function createSecureServer(options: GrpcServersOptions): grpc.Server {
  const server = new grpc.Server(serverOptions);
  const authenticate = (call: grpc.ServerDuplexStream<Buffer, Buffer> | grpc.ServerUnaryCall<Buffer, Buffer>): Promise<Caller> => options.authenticator.authenticate(credentialsOf(call));
  addDiscoveryService(server, { discovery: options.discovery, authenticate, log: options.log, maxRequestBytes });
  const bytes = (value: Buffer): Buffer => value;
  const create_ = { path: discoveryMethods.createCertificate, requestStream: false, responseStream: false, requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes } as const;
  server.addService(
    { createCertificate: create_ },
    {
      createCertificate: (call: grpc.ServerUnaryCall<Buffer, Buffer>, callback: grpc.sendUnaryData<Buffer>) => {
        answerRequest(options, call).then(
          (answer) => callback(null, answer),
          (error: unknown) => {
            const known = toSerinError(error);
            options.log.warn("a certificate was refused", { peer: call.getPeer(), error: describeError(known) });
            callback({ code: statusOf(known), details: known.message });
          },
        );
      },
    },
  );
  return server;
}

async function answerRequest({ authenticator, certificates, certificateMetrics }: GrpcServersOptions, call: grpc.ServerUnaryCall<Buffer, Buffer>): Promise<Buffer> {
  certificateMetrics.asked();
  const caller = await authenticator.authenticate(credentialsOf(call)).catch((error: unknown) => {
    certificateMetrics.unauthenticated();
    throw error;
  });
  try {
    const answer = await signRequest(certificates, call.request, caller);
    certificateMetrics.issued();
    return answer;
  } catch (error) {
    certificateMetrics.refused(error);
    throw error;
  }
}

function readRequest(bytes: Uint8Array): IstioCertificateRequest {
  try {
    return fromBinary(IstioCertificateRequestSchema, bytes);
  } catch (error) {
    throw userError("bad-csr", "the bytes are no IstioCertificateRequest", { cause: error });
  }
}

async function signRequest(certificates: CertificateService, bytes: Uint8Array, caller: Caller): Promise<Buffer> {
  const request = readRequest(bytes);
  const told = (field: string): string => {
    const value = request.metadata?.[field];
    return typeof value === "string" ? value : "";
  };
  const issued = await certificates.create(
    { csr: request.csr, ttlSeconds: Number(request.validityDuration), impersonatedIdentity: told("ImpersonatedIdentity"), certificateSigner: told("CertSigner") },
    caller,
  );
  return Buffer.from(toBinary(IstioCertificateResponseSchema, create(IstioCertificateResponseSchema, { certChain: [...issued.chain] })));
}

function credentialsOf(call: grpc.ServerDuplexStream<Buffer, Buffer> | grpc.ServerUnaryCall<Buffer, Buffer>): Credentials {
  const header = call.metadata.get("authorization")[0];
  const clusters = call.metadata.get("clusterid");
  const certificate: Partial<PeerCertificate> | undefined = call.getAuthContext().sslPeerCertificate;
  return { authorization: header?.toString(), subjectAltName: certificate?.subjectaltname, clusterId: clusters.length === 1 ? String(clusters[0]) : "" };
}

/** Binds and answers the port. */
export async function bind(server: grpc.Server, address: string, port: number, credentials: grpc.ServerCredentials): Promise<number> {
  const host = isIPv6(address) ? `[${address}]` : address;
  return await new Promise((resolve, reject) => {
    server.bindAsync(`${host}:${port}`, credentials, (error, bound) => {
      if (error === null) resolve(bound);
      else reject(transientError("cannot-listen", `cannot listen on ${host}:${port}: ${error.message}`, { cause: error, hint: "is another istiod running in this pod's network?" }));
    });
  });
}

/** Lets unary calls end, closes streams after `graceMs` (proxies reconnect to another replica by themselves). */
export async function stop(server: grpc.Server, graceMs: number, clock: Clock): Promise<void> {
  using _limit = clock.after(graceMs, () => server.forceShutdown());
  await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
}
