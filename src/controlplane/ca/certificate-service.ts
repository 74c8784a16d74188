import type { CertificateLifetimes } from "../../api/pilot-settings/index.ts";
import { userError } from "../../base/index.ts";
import { formatSpiffeId, parseSpiffeId, type Caller } from "./authenticator.ts";
import type { CertificateAuthority, IssuedCertificate } from "./certificate-authority.ts";
import type { IssuedCertificates } from "./issued-certificates.ts";

/** The pods of a cluster, by which requests for the identities of other pods are checked. */
export interface PodDirectory {
  /** Finds a pod. Undefined if it does not exist or has ended. */
  podOf(namespace: string, pod: string): PlacedPod | undefined;
  runsOn(namespace: string, serviceAccount: string, node: string): boolean;
}

export interface PlacedPod {
  readonly uid: string;
  readonly serviceAccount: string;
  /** The pod's node. Empty until the pod is scheduled. */
  readonly node: string;
}

export interface CertificateServiceOptions {
  readonly authority: () => CertificateAuthority;
  readonly trustDomain: () => string;
  /** The pods of a cluster. Undefined if they are unknown. */
  readonly pods: (clusterId: string) => PodDirectory | undefined;
  /** The accounts, as `namespace/name`, that may request certificates for the pods on their node. */
  readonly trustedNodeAccounts: ReadonlySet<string>;
  /** The limits of lifetimes. Absent means upstream's: a day by default, and at most 90 days. */
  readonly lifetimes?: CertificateLifetimes;
  readonly issued?: IssuedCertificates;
}

export interface CertificateRequest {
  readonly csr: string;
  /** The wanted lifetime. 0 means the default. */
  readonly ttlSeconds: number;
  /** A SPIFFE id. Empty for the caller's own identity. */
  readonly impersonatedIdentity: string;
  /** The name of another authority that should sign. Every name is refused. */
  readonly certificateSigner?: string;
}

const defaultLifetimes: CertificateLifetimes = { defaultSeconds: 86_400, maxSeconds: 90 * 86_400 };

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
        `a certificate may be valid for at most ${maxSeconds} seconds, got ${request.ttlSeconds}`,
      );
    if ((request.certificateSigner ?? "") !== "") {
      throw userError(
        "bad-signer",
        `CertSigner "${request.certificateSigner ?? ""}" is not supported: only the mesh's own authority signs certificates`,
        { hint: "remove ISTIO_META_CERT_SIGNER from the proxy" },
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
    // A token may outlive its pod, and another pod may have the same name by then. So compare the uid.
    if (pod.uid !== caller.podUid)
      throw userError(
        "not-allowed",
        `the token belongs to an earlier pod ${caller.namespace}/${caller.pod} (uid ${caller.podUid}), and not to the running one (${pod.uid})`,
      );
    if (pod.serviceAccount !== caller.serviceAccount)
      throw userError(
        "not-allowed",
        `the pod ${caller.namespace}/${caller.pod} has the account ${pod.serviceAccount}, and the token has ${caller.serviceAccount}`,
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
