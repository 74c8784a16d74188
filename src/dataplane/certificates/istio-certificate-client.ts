import { create, fromBinary, toBinary, type JsonObject } from "@bufbuild/protobuf";
import { messageOf, onAbort, transientError } from "../../base/index.ts";
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from "../../wire/workload/index.ts";
import { discoveryMethods } from "../../wire/xds/index.ts";
import { callMetadata, type ControlPlaneEndpoint, openChannel } from "../grpc-channel.ts";
import type { CertificateAuthority, SigningRequest } from "./certificate-types.ts";

export interface IstioCertificateClientOptions {
  readonly endpoint: ControlPlaneEndpoint;
  /** True for a ztunnel, which requests certificates in the name of its node's pods. */
  readonly impersonate: boolean;
  readonly timeoutMs?: number;
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
    const { endpoint, impersonate, timeoutMs = 10_000 } = this.#options;
    const metadata: JsonObject | undefined = impersonate ? { ImpersonatedIdentity: request.identity } : undefined;
    const message = create(IstioCertificateRequestSchema, {
      csr: request.csrPem,
      validityDuration: BigInt(request.validitySeconds),
      ...(metadata === undefined ? {} : { metadata }),
    });
    const headers = await callMetadata(endpoint);
    const client = await openChannel(endpoint);
    try {
      const answer = await new Promise<Buffer>((resolve, reject) => {
        const call = client.makeUnaryRequest(
          discoveryMethods.createCertificate,
          (bytes: Buffer) => bytes,
          (bytes: Buffer) => bytes,
          Buffer.from(toBinary(IstioCertificateRequestSchema, message)),
          headers,
          { deadline: Date.now() + timeoutMs },
          (error, bytes) => {
            if (error !== null || bytes === undefined) reject(error ?? new Error("an empty answer"));
            else resolve(bytes);
          },
        );
        onAbort(signal, () => call.cancel());
      });
      return fromBinary(IstioCertificateResponseSchema, answer).certChain;
    } catch (error) {
      throw transientError(
        "certificate-refused",
        `${endpoint.url} did not sign a certificate for ${request.identity}: ${messageOf(error)}`,
        { cause: error },
      );
    } finally {
      client.close();
    }
  }
}
