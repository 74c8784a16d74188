import { messageOf } from "../base/index.ts";
import { CertificateAuthority, loadOrCreateAuthority, type AuthorityMaterial, type AuthoritySecretOptions, type ServingCertificate } from "./ca/index.ts";
import { structurallyEqual } from "../kube/index.ts";

export interface IdentityOptions extends AuthoritySecretOptions {
  readonly serviceName: string;
  readonly domain: string;
}

const servingLifetimeMs = 90 * 86_400_000;
const checkEveryMs = 60_000;

/** The mesh's authority, and the certificate by which this control plane is known; both are looked after while it runs. */
export class ControlPlaneIdentity {
  authority: CertificateAuthority;
  serving: ServingCertificate;
  readonly #options: IdentityOptions;
  readonly #listeners = new Set<() => void>();
  #material: AuthorityMaterial;
  #renewAtMs: number;

  private constructor(options: IdentityOptions, material: AuthorityMaterial, authority: CertificateAuthority, serving: ServingCertificate) {
    this.#options = options;
    this.#material = material;
    this.authority = authority;
    this.serving = serving;
    this.#renewAtMs = halfOf(serving, options);
  }

  static async create(options: IdentityOptions): Promise<ControlPlaneIdentity> {
    const material = await loadOrCreateAuthority(options);
    const authority = await CertificateAuthority.load(material, options.clock);
    return new ControlPlaneIdentity(options, material, authority, await authority.issueServing(dnsNames(options), servingLifetimeMs));
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Takes over a changed authority, and renews the certificate at half of its lifetime. What cannot be read changes nothing. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    while (!signal.aborted) {
      await clock.sleep(checkEveryMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await this.#look();
      } catch (error) {
        log.warn("the mesh's authority could not be looked after, and stays as it was", { error: messageOf(error) });
      }
    }
  }

  async #look(): Promise<void> {
    const options = this.#options;
    const { clock, log } = options;
    const material = await loadOrCreateAuthority(options, this.#material);
    const changed = !structurallyEqual(material, this.#material);
    if (!changed && clock.nowMs() < this.#renewAtMs) return;
    const authority = changed ? await CertificateAuthority.load(material, clock) : this.authority;
    const serving = await authority.issueServing(dnsNames(options), servingLifetimeMs);
    this.#material = material;
    this.authority = authority;
    this.serving = serving;
    this.#renewAtMs = halfOf(serving, options);
    log.info(changed ? "took over a changed authority" : "renewed the serving certificate");
    for (const listener of this.#listeners) listener();
  }
}

/** An authority that ends soon shortens what it signs. */
function halfOf({ notAfterMs }: ServingCertificate, { clock }: IdentityOptions): number {
  return (clock.nowMs() + notAfterMs) / 2;
}

/** The Services by which this control plane is reached; the unrevisioned names are a tag's or the default's. */
function dnsNames({ namespace, serviceName, domain }: IdentityOptions): readonly string[] {
  const services = new Set(["istiod", "istio-pilot", serviceName]);
  return [...services].flatMap((service) => [`${service}.${namespace}.svc`, `${service}.${namespace}`, `${service}.${namespace}.svc.${domain}`]);
}
