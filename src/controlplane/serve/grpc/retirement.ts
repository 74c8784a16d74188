import type { Random } from "../../../base/index.ts";
import type { ClientCertificate } from "./client-certificate.ts";
import { grpcLimits } from "./grpc-limits.ts";
import { grpcStatus, type GrpcStatus } from "./grpc-status.ts";

/** The part of the maximum age by which the ages of connections differ, as in gRPC. */
const ageSpread = 0.1;

export interface RetirementOptions {
  readonly openedAtMs: number;
  readonly maxAgeMs: number;
  readonly random: Random;
  readonly certificate: ClientCertificate | undefined;
}

/** Says when the clients of a connection must connect anew. Connections that began together end at different times. */
export class Retirement {
  readonly #atMs: number;
  readonly #certificate: ClientCertificate | undefined;

  constructor({ openedAtMs, maxAgeMs, random, certificate }: RetirementOptions) {
    this.#atMs = openedAtMs + maxAgeMs * (1 + ageSpread * (2 * random() - 1));
    this.#certificate = certificate;
  }

  isDue(nowMs: number): boolean {
    return nowMs >= this.#atMs;
  }

  /** Why the connection's calls must end now. Undefined if they may go on. */
  reason(nowMs: number): { readonly status: GrpcStatus; readonly message: string } | undefined {
    const fault = this.#certificate?.isUsed === true ? this.#certificate.fault() : undefined;
    if (fault !== undefined)
      return {
        status: grpcStatus.unauthenticated,
        message: `the client certificate is no longer accepted: ${fault}`,
      };
    return nowMs >= this.#atMs + grpcLimits.ageGraceMs
      ? { status: grpcStatus.unavailable, message: "the connection has reached its maximum age" }
      : undefined;
  }
}
