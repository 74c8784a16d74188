import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describeError, toSerinError, userError, type Clock, type Logger } from "../../base/index.ts";
import {
  type IstioCertificateRequest,
  IstioCertificateRequestSchema,
  IstioCertificateResponseSchema,
} from "../../wire/workload/index.ts";
import { discoveryMethods } from "../../wire/xds/index.ts";
import type { Authenticator, Caller, CertificateMetrics, CertificateService, Credentials } from "../ca/index.ts";
import type { DiscoveryServer } from "./discovery-server.ts";
import { GrpcServer, unaryMethod, type GrpcCall } from "./grpc/index.ts";
import { discoveryService, statusOf } from "./grpc-service.ts";

export interface GrpcServersOptions {
  readonly discovery: DiscoveryServer;
  readonly authenticator: Authenticator;
  readonly certificates: CertificateService;
  readonly certificateMetrics: CertificateMetrics;
  readonly maxConnectionAgeMs?: number | undefined;
  /** The maximum size of a request (ISTIO_GPRC_MAXRECVMSGSIZE). If absent, each port has its default. */
  readonly maxRequestBytes?: number | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

const defaultMaxRequestBytes = {
  plaintext: 4 << 20,
  /**
   * A ztunnel that connects again names all addresses that it has, in about 1 MiB for 10,000 of them. Such a request is
   * read only after its caller has been authenticated, and counts against the memory for incomplete requests.
   */
  secure: 32 << 20,
} as const;

/** A discovery server without TLS and authentication, only for the pod's own network. */
export function createPlaintextServer({
  discovery,
  maxConnectionAgeMs,
  maxRequestBytes = defaultMaxRequestBytes.plaintext,
  clock,
  log,
}: Pick<GrpcServersOptions, "discovery" | "maxConnectionAgeMs" | "maxRequestBytes" | "clock" | "log">): GrpcServer {
  return new GrpcServer({
    methods: new Map(discoveryService({ discovery, authenticate: undefined, log })),
    maxRequestBytes,
    maxConnectionAgeMs,
    clock,
    log,
  });
}

/** A server of discovery and of the certificate service, for authenticated callers. */
export function createSecureServer(options: GrpcServersOptions): GrpcServer {
  const { discovery, authenticator, maxConnectionAgeMs, clock, log } = options;
  const { maxRequestBytes = defaultMaxRequestBytes.secure } = options;
  const authenticate = (call: GrpcCall): Promise<Caller> => authenticator.authenticate(credentialsOf(call));
  const methods = new Map(discoveryService({ discovery, authenticate, log }));
  const createCertificate = unaryMethod({
    clock,
    answer: (request, call) =>
      answerRequest(options, request, call).catch((error: unknown) => {
        log.warn("a certificate was refused", { peer: call.peer.address, error: describeError(toSerinError(error)) });
        throw error;
      }),
    statusOf: (error) => {
      const known = toSerinError(error);
      return { status: statusOf(known), message: known.message };
    },
  });
  methods.set(discoveryMethods.createCertificate, createCertificate);
  return new GrpcServer({ methods, maxRequestBytes, maxConnectionAgeMs, clock, log });
}

async function answerRequest(
  { authenticator, certificates, certificateMetrics }: GrpcServersOptions,
  request: Buffer,
  call: GrpcCall,
): Promise<Buffer> {
  certificateMetrics.requested();
  const caller = await authenticator.authenticate(credentialsOf(call)).catch((error: unknown) => {
    certificateMetrics.unauthenticated();
    throw error;
  });
  try {
    const answer = await signRequest(certificates, request, caller);
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
    throw userError("bad-csr", "the bytes are not an IstioCertificateRequest", { cause: error });
  }
}

async function signRequest(certificates: CertificateService, bytes: Uint8Array, caller: Caller): Promise<Buffer> {
  const request = readRequest(bytes);
  const textOf = (field: string): string => {
    const value = request.metadata?.[field];
    return typeof value === "string" ? value : "";
  };
  const issued = await certificates.create(
    {
      csr: request.csr,
      ttlSeconds: Number(request.validityDuration),
      impersonatedIdentity: textOf("ImpersonatedIdentity"),
      certificateSigner: textOf("CertSigner"),
    },
    caller,
  );
  return Buffer.from(
    toBinary(IstioCertificateResponseSchema, create(IstioCertificateResponseSchema, { certChain: [...issued.chain] })),
  );
}

function credentialsOf(call: GrpcCall): Credentials {
  const clusters = call.header("clusterid");
  const { address, certificate } = call.peer;
  return {
    authorization: call.header("authorization")[0],
    certificate,
    clusterId: clusters.length === 1 ? (clusters[0] ?? "") : "",
    address,
  };
}
