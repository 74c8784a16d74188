import { X509Certificate } from "node:crypto";
import type { TrustedAuthority } from "../api/istio/index.ts";
import type { BundleRoot } from "./translate/index.ts";
import {
  aborted,
  Backoff,
  certificateFingerprint,
  messageOf,
  systemRandom,
  transientError,
  userError,
  type Clock,
  type Logger,
  type Random,
} from "../base/index.ts";

export interface TrustAnchorsOptions {
  /** Fetches a text by its address. Throws if there is none, or if it is too long. */
  readonly fetchText: (url: string, signal: AbortSignal) => Promise<string>;
  /** Called with all roots, in order, when they change. */
  readonly publish: (roots: readonly BundleRoot[]) => void;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random?: Random;
}

/** The time between two fetches of a trust bundle, as in upstream Istio. */
const refreshMs = 30 * 60_000;
const fetchTimeoutMs = 10_000;
const retryInitialMs = 1000;
const retryMaxMs = 60_000;
/** The maximum number of addresses of one mesh config that are fetched. */
const maxAddresses = 64;
const maxBundleRoots = 64;

/**
 * The roots that workloads trust in a mesh of several roots (Istio's ISTIO_MULTIROOT_MESH). They are the roots of this
 * control plane's own authority, and those of the mesh config's `caCertificates`: PEM texts, or SPIFFE bundles that are
 * fetched and kept current. A root of the mesh config may sign only for the trust domains of its entries, or for the
 * mesh's own domain and its aliases if an entry names none. If a bundle cannot be fetched, its last roots stay in
 * force. As in upstream, if one root of the mesh config is unusable, all its roots stay as they were.
 */
export class TrustAnchors {
  readonly #options: TrustAnchorsOptions;
  #own: readonly string[] = [];
  #configured: readonly Configured[] = [];
  readonly #fetched = new Map<string, readonly string[]>();
  readonly #followed = new Map<string, AbortController>();
  /** The trust domains of each bundle's roots, by the bundle's address. */
  #addresses: ReadonlyMap<string, readonly string[]> = new Map();
  #running: AbortSignal | undefined;
  readonly #tasks = new Set<Promise<void>>();
  #published = "[]";

  constructor(options: TrustAnchorsOptions) {
    this.#options = options;
  }

  setOwn(roots: readonly string[]): void {
    this.#own = roots;
    this.#publish();
  }

  setTrusted(authorities: readonly TrustedAuthority[], ownDomains: readonly string[]): void {
    const domainsOf = ({ trustDomains }: TrustedAuthority): readonly string[] =>
      trustDomains.length === 0 ? ownDomains : trustDomains;
    try {
      this.#configured = authorities
        .filter((authority) => authority.pem !== undefined)
        .map((authority, index) => ({
          pem: canonicalRoot(authority.pem ?? "", index),
          trustDomains: domainsOf(authority),
        }));
    } catch (error) {
      this.#options.log.error("the roots of caCertificates are not changed, because one of them cannot be used", {
        error: messageOf(error),
      });
    }
    const addresses = new Map<string, readonly string[]>();
    for (const authority of authorities) {
      const address = authority.spiffeBundleUrl;
      if (address === undefined) continue;
      addresses.set(address, [...new Set([...(addresses.get(address) ?? []), ...domainsOf(authority)])]);
    }
    this.#addresses = addresses;
    if (addresses.size > maxAddresses)
      this.#options.log.error(`of ${addresses.size} bundles of caCertificates the first ${maxAddresses} are fetched`);
    this.#adjust();
    this.#publish();
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#running = signal;
    this.#adjust();
    await aborted(signal);
    await Promise.all(this.#tasks);
  }

  #adjust(): void {
    const running = this.#running;
    if (running === undefined || running.aborted) return;
    const wanted = new Set([...this.#addresses.keys()].slice(0, maxAddresses));
    for (const [address, stop] of this.#followed) {
      if (wanted.has(address)) continue;
      stop.abort();
      this.#followed.delete(address);
      this.#fetched.delete(address);
    }
    for (const address of wanted) {
      if (this.#followed.has(address)) continue;
      const stop = new AbortController();
      this.#followed.set(address, stop);
      const task = this.#follow(address, AbortSignal.any([stop.signal, running]));
      this.#tasks.add(task);
      void task.finally(() => this.#tasks.delete(task));
    }
  }

  async #follow(address: string, signal: AbortSignal): Promise<void> {
    const { fetchText, clock, log, random = systemRandom } = this.#options;
    const backoff = new Backoff({ initialMs: retryInitialMs, maxMs: retryMaxMs, random });
    while (!signal.aborted) {
      let waitMs = refreshMs;
      try {
        const roots = bundleRoots(
          await fetchText(address, AbortSignal.any([signal, AbortSignal.timeout(fetchTimeoutMs)])),
        );
        if (signal.aborted) return;
        this.#fetched.set(address, roots);
        backoff.reset();
        this.#publish();
      } catch (error) {
        if (signal.aborted) return;
        waitMs = backoff.nextMs();
        log.warn("the roots of a trusted authority could not be fetched", {
          address,
          hasOlder: this.#fetched.has(address),
          error: messageOf(error),
        });
      }
      await clock.sleep(waitMs, signal).catch(() => undefined);
    }
  }

  #publish(): void {
    const roots = new Map<string, readonly string[] | undefined>();
    for (const pem of this.#own) roots.set(`${pem.trim()}\n`, undefined);
    const fetched = [...this.#fetched].flatMap(([address, pems]) =>
      pems.map((pem) => ({ pem, trustDomains: this.#addresses.get(address) ?? [] })),
    );
    for (const { pem, trustDomains } of [...this.#configured, ...fetched]) {
      const key = `${pem.trim()}\n`;
      const known = roots.get(key);
      if (known !== undefined || !roots.has(key))
        roots.set(key, [...new Set([...(known ?? []), ...trustDomains])].toSorted());
    }
    const bundle = [...roots]
      .map(([pem, trustDomains]) => ({
        pem,
        fingerprint: certificateFingerprint(new X509Certificate(pem)),
        trustDomains,
      }))
      .toSorted((left, right) => (left.pem < right.pem ? -1 : 1));
    const text = JSON.stringify(bundle);
    if (text === this.#published) return;
    this.#published = text;
    this.#options.publish(bundle);
  }
}

interface Configured {
  readonly pem: string;
  readonly trustDomains: readonly string[];
}

/** One authority's certificate in canonical form. Throws if the text is not the certificate of an authority. */
function canonicalRoot(pem: string, index: number): string {
  const parsed = certificateOf(pem, `caCertificates[${index}].pem`);
  if (!parsed.ca)
    throw userError("tls-material-invalid", `caCertificates[${index}].pem is not a CA certificate`, {
      hint: "use the root certificate, not a certificate that it signed",
    });
  return parsed.toString();
}

function certificateOf(text: string | Buffer, where: string): X509Certificate {
  try {
    return new X509Certificate(text);
  } catch (error) {
    throw userError("tls-material-invalid", `${where} is not a certificate: ${messageOf(error)}`, { cause: error });
  }
}

interface BundleKey {
  readonly use?: unknown;
  readonly x5c?: unknown;
}

/**
 * The roots of a SPIFFE bundle (JWKS, of `use: x509-svid` with one certificate each), in PEM. Throws if there is none.
 */
function bundleRoots(text: string): readonly string[] {
  const parsed: unknown = JSON.parse(text);
  const keys: unknown = typeof parsed === "object" && parsed !== null ? Reflect.get(parsed, "keys") : undefined;
  if (!Array.isArray(keys))
    throw transientError("key-set-unreadable", "the response is not a SPIFFE bundle: it has no list `keys`");
  const roots = (keys as readonly (BundleKey | null)[]).flatMap((key, index) =>
    key?.use === "x509-svid" ? [bundleRoot(key, index)] : [],
  );
  if (roots.length === 0)
    throw transientError("key-set-unreadable", "the SPIFFE bundle has no key whose use is x509-svid");
  if (roots.length > maxBundleRoots)
    throw transientError(
      "key-set-unreadable",
      `the SPIFFE bundle has ${roots.length} roots, at most ${maxBundleRoots} are allowed`,
    );
  return roots;
}

function bundleRoot({ x5c }: BundleKey, index: number): string {
  const [first, ...others]: readonly unknown[] = Array.isArray(x5c) ? x5c : [];
  if (typeof first !== "string" || others.length > 0)
    throw transientError(
      "key-set-unreadable",
      `keys[${index}] of the SPIFFE bundle must have exactly one certificate in x5c`,
    );
  const parsed = certificateOf(Buffer.from(first, "base64"), `keys[${index}].x5c of the SPIFFE bundle`);
  if (!parsed.ca)
    throw transientError("key-set-unreadable", `keys[${index}] of the SPIFFE bundle is not a CA certificate`);
  return parsed.toString();
}
