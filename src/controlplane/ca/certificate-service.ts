import { userError } from "../../base/index.ts";
import { formatSpiffeId, parseSpiffeId, type Caller } from "./authenticator.ts";
import type { CertificateAuthority, IssuedCertificate } from "./certificate-authority.ts";
import type { IssuedCertificates } from "./issued-certificates.ts";

/** What the model knows of pods, for impersonation. */
export interface PodDirectory {
  /** The node of a pod; undefined when there is no such pod or it is not placed. */
  nodeOf(namespace: string, pod: string): string | undefined;
  /** The node where a single pod of the account runs, for tokens that name no pod. */
  runsOn(namespace: string, serviceAccount: string, node: string): boolean;
}

export interface CertificateServiceOptions {
  readonly authority: () => CertificateAuthority;
  readonly trustDomain: () => string;
  readonly pods: PodDirectory;
  /** `namespace/service-account` of those who may ask for the identities of pods on their node. */
  readonly trustedNodeAccounts: ReadonlySet<string>;
  readonly issued?: IssuedCertificates;
}

export interface CertificateRequest {
  readonly csr: string;
  /** 0: the default. */
  readonly ttlSeconds: number;
  /** A SPIFFE id; empty for the caller's own. */
  readonly impersonatedIdentity: string;
}

const defaultTtlSeconds = 86_400;
const maxTtlSeconds = 90 * 86_400;

/** Decides which identity a caller may have, and has it signed. */
export class CertificateService {
  readonly #options: CertificateServiceOptions;

  constructor(options: CertificateServiceOptions) {
    this.#options = options;
  }

  async create(request: CertificateRequest, caller: Caller): Promise<IssuedCertificate> {
    const identity = request.impersonatedIdentity === "" ? this.#own(caller) : this.#impersonated(request.impersonatedIdentity, caller);
    if (request.ttlSeconds > maxTtlSeconds) {
      throw userError("ttl-too-long", `a certificate may be valid for ${maxTtlSeconds} seconds at most, ${request.ttlSeconds} were asked for`);
    }
    const authority = this.#options.authority();
    const certificate = await authority.signWorkload(request.csr, identity, request.ttlSeconds > 0 ? request.ttlSeconds : defaultTtlSeconds);
    this.#options.issued?.note(caller, identity, authority.rootFingerprints, certificate.notAfterMs);
    return certificate;
  }

  #own(caller: Caller): string {
    return formatSpiffeId({ trustDomain: this.#options.trustDomain(), namespace: caller.namespace, serviceAccount: caller.serviceAccount });
  }

  #impersonated(identity: string, caller: Caller): string {
    const { trustedNodeAccounts, trustDomain, pods } = this.#options;
    const account = `${caller.namespace}/${caller.serviceAccount}`;
    const wanted = parseSpiffeId(identity);
    if (wanted === undefined) throw userError("bad-identity", `the impersonated identity must be spiffe://<trust domain>/ns/<namespace>/sa/<account>, got "${identity}"`);
    if (!trustedNodeAccounts.has(account)) {
      throw userError("not-allowed", `${account} may not ask for another's certificate`, { hint: "list it in CA_TRUSTED_NODE_ACCOUNTS if it is a node proxy" });
    }
    const node = caller.pod === "" ? undefined : pods.nodeOf(caller.namespace, caller.pod);
    if (node === undefined) throw userError("not-allowed", `the node of ${account} (pod "${caller.pod}") is not known, so it may not ask for another's certificate`);
    if (wanted.trustDomain !== trustDomain() || !pods.runsOn(wanted.namespace, wanted.serviceAccount, node)) {
      throw userError("not-allowed", `no pod of ${wanted.namespace}/${wanted.serviceAccount} runs on the node ${node} of the caller`);
    }
    return identity;
  }
}
