import { secretKind } from "../api/kubernetes/index.ts";
import type { AuthorityStage } from "../api/serin/index.ts";
import { messageOf, toSerinError } from "../base/index.ts";
import {
  anchorOf,
  authoritySecretNames,
  CertificateAuthority,
  loadAuthority,
  splitPem,
  type AuthoritySecretOptions,
  type AuthorityState,
  type ServingCertificate,
} from "./ca/index.ts";
import { createInformer, structurallyEqual } from "../kube/index.ts";

export interface IdentityOptions extends AuthoritySecretOptions {
  readonly serviceName: string;
  readonly domain: string;
  /** How often the secrets are read in addition to the watch, which may miss changes. A minute if absent. */
  readonly checkIntervalMs?: number;
}

const servingLifetimeMs = 90 * 86_400_000;
const defaultCheckMs = 60_000;
const retryMs = 1000;

/** The mesh's authority and the control plane's own certificate. Keeps both current while it runs. */
export class ControlPlaneIdentity {
  authority: CertificateAuthority;
  serving: ServingCertificate;
  readonly #options: IdentityOptions;
  readonly #listeners = new Set<() => void>();
  #state: AuthorityState;
  #renewAtMs: number;

  private constructor(
    options: IdentityOptions,
    state: AuthorityState,
    authority: CertificateAuthority,
    serving: ServingCertificate,
  ) {
    this.#options = options;
    this.#state = state;
    this.authority = authority;
    this.serving = serving;
    this.#renewAtMs = halfOf(serving, options);
  }

  /** The stage of a root rotation that this control plane has reached. `none` means that no rotation is under way. */
  get stage(): AuthorityStage {
    return this.#state.stage;
  }

  /**
   * Retries while the API server cannot be reached. Throws errors that a retry cannot fix. Throws the last error if it
   * is aborted.
   */
  static async create(options: IdentityOptions, signal: AbortSignal): Promise<ControlPlaneIdentity> {
    const state = await loadedAuthority(options, signal);
    const authority = await CertificateAuthority.load(state.material, options.clock);
    return new ControlPlaneIdentity(
      options,
      state,
      authority,
      await authority.issueServing(dnsNames(options), servingLifetimeMs),
    );
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /**
   * Adopts a changed authority, and renews the certificate at half of its lifetime. An unreadable Secret changes
   * nothing.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { client, namespace, clock, log, checkIntervalMs = defaultCheckMs } = this.#options;
    let pause = new AbortController();
    let changed = false;
    const informers = authoritySecretNames.map((name) =>
      createInformer(client, secretKind, { namespace, fieldSelector: `metadata.name=${name}`, clock, log }),
    );
    for (const informer of informers) {
      informer.subscribe(() => {
        changed = true;
        pause.abort();
      });
    }
    const watching = informers.map((informer) => informer.run(signal));
    let waitMs = Math.min(checkIntervalMs, defaultCheckMs);
    while (!signal.aborted) {
      pause = new AbortController();
      if (!changed) await clock.sleep(waitMs, AbortSignal.any([signal, pause.signal])).catch(() => undefined);
      if (signal.aborted) break;
      changed = false;
      waitMs = Math.min(checkIntervalMs, defaultCheckMs);
      try {
        await this.#look();
      } catch (error) {
        waitMs = retryMs;
        log.warn("the mesh's authority could not be checked, and stays unchanged", { error: messageOf(error) });
      }
    }
    await Promise.all(watching);
  }

  async #look(): Promise<void> {
    const options = this.#options;
    const { clock, log } = options;
    const state = await loadAuthority(options, this.#state);
    const changed = !structurallyEqual(state.material, this.#state.material);
    if (state.stage !== this.#state.stage)
      log.info("the change of the mesh's root has a new stage", { stage: state.stage });
    if (!changed && clock.nowMs() < this.#renewAtMs) {
      this.#state = state;
      return;
    }
    const authority = changed ? await CertificateAuthority.load(state.material, clock) : this.authority;
    const serving = await authority.issueServing(dnsNames(options), servingLifetimeMs);
    if (isUnknownRoot(authority.root, this.authority.root))
      log.warn(
        "the mesh's new root is unknown to its proxies: for some minutes, those with an old and with a new certificate refuse each other. To change a root without failed requests, let root-cert.pem contain both roots first",
      );
    this.#state = state;
    this.authority = authority;
    this.serving = serving;
    this.#renewAtMs = halfOf(serving, options);
    log.info(changed ? "applied a changed authority" : "renewed the serving certificate");
    for (const listener of this.#listeners) {
      // If one part of the control plane cannot take the new authority, the other parts still get it.
      try {
        listener();
      } catch (error) {
        log.error("a part of the control plane cannot use the authority, and keeps the former one", {
          error: messageOf(error),
        });
      }
    }
  }
}

/**
 * Whether peers that trust the former roots refuse the new certificates. The signing root comes first. A root that both
 * bundles contain, such as a partner's, does not make these peers accept the certificates.
 */
function isUnknownRoot(root: string, former: string): boolean {
  const [signing] = splitPem(root);
  return signing !== undefined && !splitPem(former).map(anchorOf).includes(anchorOf(signing));
}

async function loadedAuthority(options: IdentityOptions, signal: AbortSignal): Promise<AuthorityState> {
  for (;;) {
    try {
      return await loadAuthority(options);
    } catch (error) {
      if (toSerinError(error).kind !== "transient" || signal.aborted) throw error;
      options.log.warn("the mesh's authority could not be read; trying again", { error: messageOf(error) });
      await options.clock.sleep(retryMs, signal).catch(() => undefined);
      if (signal.aborted) throw error;
    }
  }
}

/**
 * The time at which half of the certificate's remaining life has passed. That is soon if the authority expires soon.
 */
function halfOf({ notAfterMs }: ServingCertificate, { clock }: IdentityOptions): number {
  return (clock.nowMs() + notAfterMs) / 2;
}

/**
 * The DNS names of this control plane's Services. A tag or the default revision has the Service names without a
 * revision.
 */
function dnsNames({ namespace, serviceName, domain }: IdentityOptions): readonly string[] {
  const services = new Set(["istiod", "istio-pilot", serviceName]);
  return [...services].flatMap((service) => [
    `${service}.${namespace}.svc`,
    `${service}.${namespace}`,
    `${service}.${namespace}.svc.${domain}`,
  ]);
}
