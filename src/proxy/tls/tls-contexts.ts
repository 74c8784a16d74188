import { BoundedCache, transientError } from "../../base/index.ts";
import { restrictionGuard } from "../../dataplane/tunnels/index.ts";
import { TlsContext } from "../../net/index.ts";
import { splitRevocations } from "./revocation-lists.ts";
import type { CertificateMaterial, RevocationsMaterial, RootsMaterial, SecretStore } from "./secret-store.ts";
import { isMeshTls, type TlsSpec } from "./tls-spec.ts";

interface Cached {
  readonly materials: readonly (CertificateMaterial | RootsMaterial | RevocationsMaterial)[];
  readonly context: TlsContext;
}

/** The maximum number of kept contexts. There is one for each specification in use. */
const maxContexts = 4096;

/** TLS contexts by specification. A context is replaced when one of its certificates changes. */
export class TlsContexts {
  readonly #secrets: SecretStore;
  readonly #aesGcmOnly: boolean;
  readonly #cached = new BoundedCache<string, Cached>(maxContexts);

  /**
   * `aesGcmOnly` makes AES-GCM the only cipher of TLS 1.3 for every specification. The configuration cannot express
   * this for TLS 1.3, because Envoy's API does not name the ciphers of TLS 1.3.
   */
  constructor(secrets: SecretStore, aesGcmOnly = false) {
    this.#secrets = secrets;
    this.#aesGcmOnly = aesGcmOnly;
  }

  /**
   * Waits for the secrets that a context needs, and returns the context. Rejects with their names after `timeoutMs`, or
   * at once if they will never arrive.
   */
  async get(spec: TlsSpec, timeoutMs: number): Promise<TlsContext> {
    const now = this.peek(spec);
    if (now !== undefined) return now;
    const limit = AbortSignal.timeout(Math.ceil(timeoutMs));
    while (!limit.aborted && !this.#isInVain(spec)) {
      await this.#secrets.changed(limit);
      const context = this.peek(spec);
      if (context !== undefined) return context;
    }
    throw transientError("secret-missing", `TLS: ${this.#missing(spec)}`);
  }

  /** The context of a specification. Undefined while something is missing. Throws if a certificate is unusable. */
  peek(spec: TlsSpec): TlsContext | undefined {
    const certificates = spec.certificates.map((ref) => this.#secrets.certificate(ref));
    const roots = spec.roots === undefined ? undefined : this.#secrets.roots(spec.roots);
    if (spec.roots !== undefined && roots === undefined) return undefined;
    if (!allThere(certificates)) return undefined;
    const listed = spec.revocations === undefined || roots?.revocations !== undefined ? undefined : spec.revocations;
    const revocations = listed === undefined ? undefined : this.#secrets.revocations(listed);
    if (listed !== undefined && revocations === undefined) return undefined;
    const materials = [
      ...certificates,
      ...(roots === undefined ? [] : [roots]),
      ...(revocations === undefined ? [] : [revocations]),
    ];
    const cached = this.#cached.get(spec.key);
    if (
      cached !== undefined &&
      cached.materials.length === materials.length &&
      cached.materials.every((material, index) => material === materials[index])
    )
      return cached.context;
    const limited = this.#aesGcmOnly ? { ...spec, aesGcmOnly: true } : spec;
    const context = contextOf(limited, certificates, roots, revocations?.lists ?? roots?.revocations);
    this.#cached.set(spec.key, { materials, context });
    return context;
  }

  /**
   * The names of the secrets for which neither the control plane nor the CA has answered yet. Files are not among them,
   * because reading a file takes only a moment.
   */
  awaited({ certificates, roots }: TlsSpec): string[] {
    const names = certificates.flatMap((ref) =>
      ref.kind === "sds" && this.#secrets.certificate(ref) === undefined && !this.#secrets.isInVain(ref)
        ? ref.name
        : [],
    );
    if (roots?.kind === "sds" && this.#secrets.roots(roots) === undefined && !this.#secrets.isInVain(roots))
      names.push(roots.name);
    return names.filter((name) => !name.startsWith("file-"));
  }

  /** Whether a missing certificate or root will never arrive. */
  #isInVain(spec: TlsSpec): boolean {
    return (
      spec.certificates.some((ref) => this.#secrets.certificate(ref) === undefined && this.#secrets.isInVain(ref)) ||
      (spec.roots !== undefined && this.#secrets.roots(spec.roots) === undefined && this.#secrets.isInVain(spec.roots))
    );
  }

  #missing(spec: TlsSpec): string {
    const revocations =
      spec.revocations !== undefined && this.#secrets.revocations(spec.revocations) === undefined
        ? [spec.revocations]
        : [];
    const refs = [
      ...revocations,
      ...spec.certificates.filter((ref) => this.#secrets.certificate(ref) === undefined),
      ...(spec.roots !== undefined && this.#secrets.roots(spec.roots) === undefined ? [spec.roots] : []),
    ];
    return refs.map((ref) => this.#secrets.trouble(ref)).join(", ");
  }
}

function allThere(
  certificates: readonly (CertificateMaterial | undefined)[],
): certificates is readonly CertificateMaterial[] {
  return certificates.every((certificate) => certificate !== undefined);
}

function contextOf(
  spec: TlsSpec,
  certificates: readonly CertificateMaterial[],
  roots: RootsMaterial | undefined,
  revocations: string | undefined,
): TlsContext {
  const guard = roots === undefined ? undefined : restrictionGuard(roots.roots, roots.restrictions ?? []);
  return TlsContext.create({
    ...(guard === undefined ? {} : { guard }),
    ...(certificates.length === 0
      ? {}
      : { certificateChain: certificates.map(({ chain }) => chain), privateKey: certificates.map(({ key }) => key) }),
    ...(roots === undefined ? {} : { roots: roots.roots }),
    ...(revocations === undefined || roots === undefined ? {} : { revocations: splitRevocations(revocations) }),
    ...(spec.minVersion === undefined ? {} : { minVersion: spec.minVersion }),
    ...(spec.maxVersion === undefined ? {} : { maxVersion: spec.maxVersion }),
    ciphers: spec.ciphers,
    aesGcmOnly: spec.aesGcmOnly === true,
    curves: spec.curves,
    noTickets: isMeshTls(spec) || requestsCertificates(spec),
  });
}

/**
 * Whether the server requests a certificate. Such a server must issue no session tickets: Node does not set the session
 * context id that it would need, so OpenSSL would fail the handshake of a client that resumes a session.
 */
function requestsCertificates(spec: TlsSpec): boolean {
  return spec.roots !== undefined || ("clientCertificate" in spec && spec.clientCertificate !== "none");
}
