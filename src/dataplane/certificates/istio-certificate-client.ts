import { create, fromBinary, toBinary, type JsonObject } from "@bufbuild/protobuf";
import type { Client } from "@grpc/grpc-js";
import {
  messageOf,
  onAbort,
  systemClock,
  systemRandom,
  transientError,
  type Clock,
  type Random,
} from "../../base/index.ts";
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from "../../wire/workload/index.ts";
import { discoveryMethods } from "../../wire/xds/index.ts";
import { callMetadata, connectChannel, type ControlPlaneEndpoint } from "../grpc-channel.ts";
import type { CertificateAuthority, SigningRequest } from "./certificate-types.ts";

export interface IstioCertificateClientOptions {
  readonly endpoint: ControlPlaneEndpoint;
  /**
   * Whether certificates are requested for other identities than the client's own. It is true for a ztunnel, which
   * requests them for its node's pods.
   */
  readonly impersonate: boolean;
  /** The time limit for the connection and the answer together. The default is 10 s. */
  readonly timeoutMs?: number;
  readonly clock?: Clock;
  readonly random?: Random;
}

/**
 * A client of istiod's certificate service. Each call has its own connection, because calls are rare and istiods move.
 */
export class IstioCertificateClient implements CertificateAuthority {
  readonly #options: IstioCertificateClientOptions;

  constructor(options: IstioCertificateClientOptions) {
    this.#options = options;
  }

  async sign(request: SigningRequest, signal: AbortSignal): Promise<readonly string[]> {
    const { endpoint, impersonate, timeoutMs = 10_000, clock = systemClock, random = systemRandom } = this.#options;
    const startedAtMs = clock.steadyMs();
    const metadata: JsonObject | undefined = impersonate ? { ImpersonatedIdentity: request.identity } : undefined;
    const message = create(IstioCertificateRequestSchema, {
      csr: request.csrPem,
      validityDuration: BigInt(request.validitySeconds),
      ...(metadata === undefined ? {} : { metadata }),
    });
    const headers = await callMetadata(endpoint);
    let client: Client | undefined;
    try {
      const connected = await connectChannel(endpoint, { timeoutMs, clock, random, signal });
      client = connected;
      const leftMs = Math.max(0, timeoutMs - (clock.steadyMs() - startedAtMs));
      const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
      const call = connected.makeUnaryRequest(
        discoveryMethods.createCertificate,
        (bytes: Buffer) => bytes,
        (bytes: Buffer) => bytes,
        Buffer.from(toBinary(IstioCertificateRequestSchema, message)),
        headers,
        { deadline: Date.now() + leftMs },
        (error, bytes) => {
          if (error !== null || bytes === undefined) reject(error ?? new Error("an empty answer"));
          else resolve(bytes);
        },
      );
      using _cancel = onAbort(signal, () => call.cancel());
      const answer = await promise;
      return fromBinary(IstioCertificateResponseSchema, answer).certChain;
    } catch (error) {
      throw transientError(
        "certificate-refused",
        `${endpoint.url} did not sign a certificate for ${request.identity}: ${messageOf(error)}`,
        { cause: error },
      );
    } finally {
      client?.close();
    }
  }
}
