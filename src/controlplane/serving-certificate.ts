import type { Clock, Logger } from "../base/index.ts";
import { CertificateAuthority, loadOrCreateAuthority, type ServingCertificate } from "./ca/index.ts";
import type { KubeClient } from "../kube/index.ts";

export interface IdentityOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly serviceName: string;
  readonly domain: string;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly log: Logger;
}

const servingLifetimeMs = 90 * 86_400_000;
const checkEveryMs = 60_000;

/** The mesh's authority, and the certificate by which this control plane is known; both are looked after while it runs. */
export class ControlPlaneIdentity {
  authority: CertificateAuthority;
  serving: ServingCertificate;
  readonly #options: IdentityOptions;
  readonly #listeners = new Set<() => void>();

  private constructor(options: IdentityOptions, authority: CertificateAuthority, serving: ServingCertificate) {
    this.#options = options;
    this.authority = authority;
    this.serving = serving;
  }

  static async create(options: IdentityOptions): Promise<ControlPlaneIdentity> {
    const authority = await loadAuthority(options);
    return new ControlPlaneIdentity(options, authority, await authority.issueServing(dnsNames(options), servingLifetimeMs));
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Takes over a changed authority, and renews the certificate at half of its lifetime. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    while (!signal.aborted) {
      await clock.sleep(checkEveryMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      const authority = await loadAuthority(this.#options).catch(() => this.authority);
      const changed = authority.root !== this.authority.root;
      if (!changed && this.serving.notAfterMs - clock.nowMs() > servingLifetimeMs / 2) continue;
      this.authority = authority;
      this.serving = await authority.issueServing(dnsNames(this.#options), servingLifetimeMs);
      log.info(changed ? "took over a changed root" : "renewed the serving certificate");
      for (const listener of this.#listeners) listener();
    }
  }
}

async function loadAuthority(options: IdentityOptions): Promise<CertificateAuthority> {
  const { client, namespace, trustDomain, clock, log } = options;
  return await CertificateAuthority.load(await loadOrCreateAuthority(client, namespace, trustDomain, clock, log), clock);
}

/** The Services by which this control plane is reached; the unrevisioned names are a tag's or the default's. */
function dnsNames({ namespace, serviceName, domain }: IdentityOptions): readonly string[] {
  const services = new Set(["istiod", "istio-pilot", serviceName]);
  return [...services].flatMap((service) => [`${service}.${namespace}.svc`, `${service}.${namespace}`, `${service}.${namespace}.svc.${domain}`]);
}
