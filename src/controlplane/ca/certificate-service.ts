import { userError } from "../../base/index.ts";
import { formatSpiffeId, parseSpiffeId, type Caller } from "./authenticator.ts";
import type { CertificateAuthority, IssuedCertificate } from "./certificate-authority.ts";
import type { IssuedCertificates } from "./issued-certificates.ts";

/** What the model knows of pods, for impersonation. */
export interface PodDirectory {
  /** Undefined when there is no such pod or it has ended. */
  podOf(namespace: string, pod: string): PlacedPod | undefined;
  /** Whether a pod of the account runs on the node. */
  runsOn(namespace: string, serviceAccount: string, node: string): boolean;
}

export interface PlacedPod {
  readonly uid: string;
  readonly serviceAccount: string;
  /** Empty while it is not placed. */
  readonly node: string;
}

export interface CertificateLifetimes {
  /** The lifetime for requests that name none. */
  readonly defaultSeconds: number;
  readonly maxSeconds: number;
}

export interface CertificateServiceOptions {
  readonly authority: () => CertificateAuthority;
  readonly trustDomain: () => string;
  /** The pods of a cluster. Undefined if its pods are unknown. */
  readonly pods: (clusterId: string) => PodDirectory | undefined;
  /** `namespace/service-account` of those who may ask for the identities of pods on their node. */
  readonly trustedNodeAccounts: ReadonlySet<string>;
  /** Upstream's defaults when absent: a day, and 90 days at most. */
  readonly lifetimes?: CertificateLifetimes;
  readonly issued?: IssuedCertificates;
}

export interface CertificateRequest {
  readonly csr: string;
  /** 0: the default. */
  readonly ttlSeconds: number;
  /** A SPIFFE id; empty for the caller's own. */
  readonly impersonatedIdentity: string;
  /** Names another authority that is to sign; empty for this one, and refused otherwise. */
  readonly certificateSigner?: string;
}

const defaultLifetimes: CertificateLifetimes = { defaultSeconds: 86_400, maxSeconds: 90 * 86_400 };

/** Decides which identity a caller may have, and has it signed. */
export class CertificateService {
  readonly #options: CertificateServiceOptions;

  constructor(options: CertificateServiceOptions) {
    this.#options = options;
  }

  async create(request: CertificateRequest, caller: Caller): Promise<IssuedCertificate> {
    const identity =
      request.impersonatedIdentity === ""
        ? this.#own(caller)
        : this.#impersonated(request.impersonatedIdentity, caller);
    const { defaultSeconds, maxSeconds } = this.#options.lifetimes ?? defaultLifetimes;
    if (request.ttlSeconds > maxSeconds)
      throw userError(
        "ttl-too-long",
        `a certificate may be valid for ${maxSeconds} seconds at most, ${request.ttlSeconds} were asked for`,
      );
    if ((request.certificateSigner ?? "") !== "") {
      throw userError(
        "bad-signer",
        `CertSigner "${request.certificateSigner ?? ""}" is not supported: certificates are signed by the mesh's own authority`,
        { hint: "take ISTIO_META_CERT_SIGNER from the proxy" },
      );
    }
    const authority = this.#options.authority();
    const certificate = await authority.signWorkload(
      request.csr,
      identity,
      request.ttlSeconds > 0 ? request.ttlSeconds : defaultSeconds,
    );
    this.#options.issued?.note(caller, identity, authority.rootFingerprints, certificate.notAfterMs);
    return certificate;
  }

  #own(caller: Caller): string {
    return formatSpiffeId({
      trustDomain: this.#options.trustDomain(),
      namespace: caller.namespace,
      serviceAccount: caller.serviceAccount,
    });
  }

  #impersonated(identity: string, caller: Caller): string {
    const { trustedNodeAccounts, trustDomain, pods } = this.#options;
    const account = `${caller.namespace}/${caller.serviceAccount}`;
    const wanted = parseSpiffeId(identity);
    if (wanted === undefined)
      throw userError(
        "bad-identity",
        `the impersonated identity must be spiffe://<trust domain>/ns/<namespace>/sa/<account>, got "${identity}"`,
      );
    if (!trustedNodeAccounts.has(account)) {
      throw userError("not-allowed", `${account} may not ask for another's certificate`, {
        hint: "list it in CA_TRUSTED_NODE_ACCOUNTS if it is a node proxy",
      });
    }
    const directory = pods(caller.clusterId);
    if (directory === undefined)
      throw userError(
        "not-allowed",
        `the pods of the cluster "${caller.clusterId}" are not known, so ${account} may not ask for another's certificate`,
      );
    const pod = caller.pod === "" ? undefined : directory.podOf(caller.namespace, caller.pod);
    if (pod === undefined || pod.node === "")
      throw userError(
        "not-allowed",
        `the node of ${account} (pod "${caller.pod}") is not known, so it may not ask for another's certificate`,
      );
    // A token may outlive its pod, and another pod have its name by then.
    if (pod.uid !== caller.podUid)
      throw userError(
        "not-allowed",
        `the pod ${caller.namespace}/${caller.pod} is another one than the token's (${pod.uid}, not ${caller.podUid})`,
      );
    if (pod.serviceAccount !== caller.serviceAccount)
      throw userError(
        "not-allowed",
        `the pod ${caller.namespace}/${caller.pod} is of the account ${pod.serviceAccount}, not ${caller.serviceAccount}`,
      );
    if (wanted.trustDomain !== trustDomain() || !directory.runsOn(wanted.namespace, wanted.serviceAccount, pod.node)) {
      throw userError(
        "not-allowed",
        `no pod of ${wanted.namespace}/${wanted.serviceAccount} runs on the node ${pod.node} of the caller`,
      );
    }
    return identity;
  }
}
