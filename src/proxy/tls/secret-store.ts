import { rootCertificates } from "node:tls";
import { fromBinary } from "@bufbuild/protobuf";
import { messageOf, userError, onAbort, type Clock, type Logger } from "../../base/index.ts";
import type {
  CertificateSource,
  RootRestriction,
  WorkloadCertificate,
  XdsSubscription,
  XdsUpdate,
} from "../../dataplane/index.ts";
import { SecretSchema, type Secret } from "../../wire/envoy/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { revocationsFault } from "./revocation-lists.ts";
import { certificateRef, checkSecret, checkUsable, rootsRef } from "./secret-source.ts";
import {
  invalidPrefix,
  namedSecrets,
  secretKey,
  type CertificateRef,
  type NamedSecret,
  type RevocationsRef,
  type RootsRef,
  type SecretService,
  type ServiceSecret,
  type TlsSpec,
} from "./tls-spec.ts";

export interface SecretStoreOptions {
  readonly certificates: CertificateSource;
  /** This proxy's SPIFFE id, which the certificate `default` contains. */
  readonly identity: string;
  readonly readFile: (path: string) => Promise<string>;
  /** The file with the mesh's revocation lists. If undefined, revocations by the mesh's authorities are not checked. */
  readonly meshRevocationsFile?: string | undefined;
  /**
   * Called when a secret has arrived or is known to be absent, and when the file with the mesh's revocation lists was
   * read. A listener waits for these, and for no other file. Not called for the workload's own certificate.
   */
  readonly onChange?: () => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A certificate with its key, as PEM. A new certificate is always a new object, by which caches notice the change. */
export interface CertificateMaterial {
  readonly chain: string;
  readonly key: string;
}

export interface RootsMaterial {
  readonly roots: string;
  /** Revocation lists in PEM from the same secret. Undefined if there are none. */
  readonly revocations?: string | undefined;
  /** Restrictions of the mesh's roots: some of them may only sign for some trust domains. */
  readonly restrictions?: readonly RootRestriction[] | undefined;
}

/** Revocation lists in PEM. */
export interface RevocationsMaterial {
  readonly lists: string;
}

export interface AppliedSecret {
  readonly ref: NamedSecret;
  readonly version: string;
  readonly message: Secret;
  readonly updatedMs: number;
}

const ownCertificate = "default";
const meshRoots = "ROOTCA";
const systemRootsName = "file-root:system";
const fileCertificatePrefix = "file-cert:";
const fileRootsPrefix = "file-root:";

/**
 * The maximum number of secrets that are remembered as absent. Configurations name far fewer. Above it, the proxy waits
 * for a secret as if the control plane had not answered.
 */
const maxAbsent = 10_000;

/** The interval in which files are read again, in milliseconds. A changed file affects new connections only. */
const rereadMs = 5000;

interface FileEntry {
  tried: boolean;
  readonly optional: boolean;
  text: string | undefined;
  trouble: string | undefined;
  readMs: number;
}

/**
 * Certificates and roots, by how the configuration refers to them: the proxy's own from the CA, those of the control
 * plane and of other services by SDS, and files. They may be replaced while they are in use.
 */
export class SecretStore {
  readonly #options: SecretStoreOptions;
  /** The secrets in force, by {@link secretKey}, which is also the key of the collections below. */
  readonly #applied = new Map<string, AppliedSecret>();
  /**
   * The secrets of which the control plane or a service says that it has none: they do not exist, or this proxy may not
   * have them.
   */
  readonly #absent = new Map<string, NamedSecret>();
  readonly #faults = new Map<string, string>();
  readonly #files = new Map<string, FileEntry>();
  readonly #own = new WeakMap<WorkloadCertificate, CertificateMaterial & RootsMaterial>();
  readonly #materials = new Map<
    string,
    { readonly from: string; readonly material: CertificateMaterial | RootsMaterial | RevocationsMaterial }
  >();
  /** The secrets that no configuration named at the last call of {@link forgetUnnamed}. */
  #unnamed: ReadonlySet<string> = new Set();
  /**
   * The text of the mesh's revocation lists as last read, the last usable text, and why the text as last read cannot be
   * used.
   */
  #lists: { readonly text?: string; readonly usable?: string | undefined; readonly fault?: string | undefined } = {};
  readonly #waiters = new Set<() => void>();
  readonly #system: RootsMaterial = { roots: rootCertificates.join("\n") };

  constructor(options: SecretStoreOptions) {
    this.#options = options;
  }

  /** The names of the secrets that these specifications need from the control plane. */
  static remoteNames(specs: Iterable<TlsSpec>): Set<string> {
    return new Set(
      namedSecrets(specs).flatMap(({ name, service }) =>
        service !== undefined ||
        name === ownCertificate ||
        name === meshRoots ||
        name.startsWith("file-") ||
        name.startsWith(invalidPrefix)
          ? []
          : name,
      ),
    );
  }

  /** The secrets that these specifications need from other services, by {@link secretKey}. */
  static ofServices(specs: Iterable<TlsSpec>): Map<string, ServiceSecret> {
    return new Map(
      namedSecrets(specs).flatMap((ref) => {
        const { name, service } = ref;
        return service === undefined ? [] : [[secretKey(ref), { kind: "sds", name, service }]];
      }),
    );
  }

  applied(): ReadonlyMap<string, AppliedSecret> {
    return this.#applied;
  }

  /** The certificates and roots that connections have read from files, by the names that Istio's agent gives them. */
  fromFiles(): ReadonlyMap<string, { readonly chain: string } | { readonly roots: string }> {
    const found = new Map<string, { readonly chain: string } | { readonly roots: string }>();
    for (const [name, { material }] of this.#materials) {
      const isFile = name.startsWith(fileCertificatePrefix) || name.startsWith(fileRootsPrefix);
      if (isFile && !("lists" in material)) found.set(name, material);
    }
    return found;
  }

  subscription(): XdsSubscription {
    return { typeUrl: typeUrls.secret, mode: "named", apply: (update) => this.#apply(update) };
  }

  /** When this proxy received its own certificate, with the mesh's roots. Undefined before. */
  get ownReceivedAtMs(): number | undefined {
    return this.#options.certificates.peek(this.#options.identity)?.receivedAtMs;
  }

  /** A certificate with its key. Undefined until it has arrived. */
  certificate(ref: CertificateRef): CertificateMaterial | undefined {
    switch (ref.kind) {
      case "inline":
        return this.#kept(`inline ${ref.chain}`, ref.key, () => ({ chain: ref.chain, key: ref.key }));
      case "files":
        return this.#fileCertificate(ref.chain, ref.key);
      case "sds":
        return this.#namedCertificate(ref);
    }
  }

  roots(ref: RootsRef): RootsMaterial | undefined {
    switch (ref.kind) {
      case "inline":
        return this.#kept(`inline roots ${ref.pem}`, "", () => ({ roots: ref.pem }));
      case "file":
        return this.#fileRoots(ref.path);
      case "sds":
        if (ref.service !== undefined) return this.#remoteRoots(ref);
        if (ref.name === meshRoots) return this.#meshRoots();
        if (ref.name === systemRootsName) return this.#system;
        if (ref.name.startsWith(fileRootsPrefix)) return this.#fileRoots(ref.name.slice(fileRootsPrefix.length));
        return this.#remoteRoots(ref);
    }
  }

  /** The revocation lists. Undefined until they have arrived. */
  revocations(ref: RevocationsRef): RevocationsMaterial | undefined {
    if (ref.kind === "inline") return this.#kept(`inline lists ${ref.pem}`, "", () => ({ lists: ref.pem }));
    const lists = this.#file(ref.path);
    return lists === undefined ? undefined : this.#kept(`lists ${ref.path}`, lists, () => ({ lists }));
  }

  /**
   * Resolves when a secret or a file has changed or the proxy's own certificate has arrived, so that missing material
   * may be there now. Also resolves when the signal aborts.
   */
  async changed(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.add(resolve);
    onAbort(signal, resolve);
    const { certificates, identity } = this.#options;
    if (certificates.peek(identity) === undefined)
      void certificates.fetch(identity, signal).then(
        () => resolve(),
        () => undefined,
      );
    await promise.finally(() => this.#waiters.delete(resolve));
  }

  /**
   * Whether waiting for a reference's material is pointless, because the control plane or its service says that it does
   * not exist. As in Envoy, a connection then fails at once.
   */
  isInVain(ref: CertificateRef | RootsRef): boolean {
    return ref.kind === "sds" && (ref.name.startsWith(invalidPrefix) || this.#absent.has(secretKey(ref)));
  }

  trouble(ref: CertificateRef | RootsRef): string {
    if (ref.kind === "sds" && ref.name === meshRoots && ref.service === undefined && this.#lists.fault !== undefined)
      return `${this.#options.meshRevocationsFile ?? ""}: ${this.#lists.fault}`;
    if (ref.kind === "sds" && ref.service !== undefined) return this.#troubleOfService(ref, ref.service);
    const names =
      ref.kind === "sds"
        ? [ref.name]
        : ref.kind === "files"
          ? [ref.chain, ref.key]
          : ref.kind === "file"
            ? [ref.path]
            : [];
    const reasons = names.map(
      (name) =>
        this.#files.get(name.replace(/^file-(cert|root):/, "").split("~")[0] ?? "")?.trouble ??
        (this.#absent.has(name)
          ? `the control plane has no secret ${name} for this proxy: create it, or let the proxy's account list Secrets there`
          : `secret ${name} has not arrived`),
    );
    return reasons.join(", ");
  }

  /** Puts a secret from a service in force. If it is unusable, throws and keeps the previous one. */
  take(ref: ServiceSecret, version: string, body: Uint8Array): void {
    this.#put(ref, version, body, checkUsable);
    this.#tell();
  }

  /**
   * Called when a service says that it has no such secret. A secret that it sent before stays in force, as when the
   * control plane removes one.
   */
  miss(ref: ServiceSecret): void {
    if (!this.#applied.has(secretKey(ref))) this.#absent.set(secretKey(ref), ref);
    this.#tell();
  }

  fail(ref: ServiceSecret, reason: string): void {
    this.#faults.set(secretKey(ref), reason);
  }

  /**
   * Forgets the secrets that two calls in a row do not name. So a name that comes back at once need not be requested
   * again. `names` are the secrets of the control plane that the configuration uses. Must be called once a second.
   */
  forgetUnnamed(names: ReadonlySet<string>): void {
    const unnamed = new Set<string>();
    const note = ({ name, service }: NamedSecret): void => {
      if (service === undefined && !names.has(name)) unnamed.add(name);
    };
    for (const { ref } of this.#applied.values()) note(ref);
    for (const ref of this.#absent.values()) note(ref);
    for (const key of unnamed) if (this.#unnamed.has(key)) this.#drop(key);
    this.#unnamed = unnamed;
  }

  forget(ref: ServiceSecret): void {
    this.#drop(secretKey(ref));
  }

  /** Reads the files again whose interval is over. Must be called once a second. */
  sweep(nowMs: number): void {
    for (const [path, entry] of this.#files) if (nowMs - entry.readMs >= rereadMs) void this.#read(path, entry, nowMs);
  }

  #troubleOfService(ref: NamedSecret, { cluster }: SecretService): string {
    const fault = this.#faults.get(secretKey(ref));
    return this.#absent.has(secretKey(ref))
      ? `the SDS provider of cluster ${cluster} has no secret ${ref.name}: create it there`
      : `secret ${ref.name} has not arrived from the SDS provider of cluster ${cluster}${fault === undefined ? "" : `: ${fault}`}`;
  }

  #apply(update: XdsUpdate): void {
    const troubles: string[] = [];
    for (const resource of update.resources) {
      try {
        this.#put({ kind: "sds", name: resource.name }, resource.version, resource.body, checkSecret);
      } catch (error) {
        troubles.push(messageOf(error));
      }
    }
    for (const name of update.removed)
      if (!this.#applied.has(name) && this.#absent.size < maxAbsent) this.#absent.set(name, { kind: "sds", name });
    // A removed secret stays in force for configuration that still names it, because the removal may arrive before the
    // change of that configuration.
    this.#tell();
    if (troubles.length > 0) throw userError("config-rejected", troubles.join("; "));
  }

  #put(ref: NamedSecret, version: string, body: Uint8Array, check: (message: Secret, name: string) => void): void {
    const message = fromBinary(SecretSchema, body);
    check(message, ref.name);
    const key = secretKey(ref);
    this.#absent.delete(key);
    this.#faults.delete(key);
    this.#applied.set(key, { ref, version, message, updatedMs: this.#options.clock.nowMs() });
  }

  #drop(key: string): void {
    for (const known of [this.#applied, this.#absent, this.#faults]) known.delete(key);
    for (const material of ["certificate", "roots", "roots and lists"]) this.#materials.delete(`${material} ${key}`);
  }

  #tell(): void {
    this.#wake();
    this.#options.onChange?.();
  }

  #wake(): void {
    for (const resolve of this.#waiters) resolve();
  }

  #namedCertificate(named: NamedSecret): CertificateMaterial | undefined {
    const { name, service } = named;
    if (service === undefined && name === ownCertificate) return this.#ownMaterial();
    if (service === undefined && name.startsWith(fileCertificatePrefix)) {
      const [chain = "", key = ""] = name.slice(fileCertificatePrefix.length).split("~");
      return this.#fileCertificate(chain, key);
    }
    const applied = this.#applied.get(secretKey(named));
    if (applied?.message.type.case !== "tlsCertificate") return undefined;
    const ref = certificateRef(applied.message.type.value, `secret ${name}`);
    return ref.kind === "inline"
      ? this.#kept(`certificate ${secretKey(named)}`, `${applied.version} ${applied.updatedMs}`, () => ({
          chain: ref.chain,
          key: ref.key,
        }))
      : this.certificate(ref);
  }

  #remoteRoots(named: NamedSecret): RootsMaterial | undefined {
    const name = secretKey(named);
    const applied = this.#applied.get(name);
    if (applied === undefined) return undefined;
    const { type } = applied.message;
    if (type.case !== "validationContext") return undefined;
    const [ref, revoked] = [
      rootsRef(type.value.trustedCa, `secret ${name}`),
      rootsRef(type.value.crl, `secret ${name}`),
    ];
    if (ref === undefined) return undefined;
    const roots =
      ref.kind === "inline"
        ? this.#kept(`roots ${name}`, `${applied.version} ${applied.updatedMs}`, () => ({ roots: ref.pem }))
        : this.roots(ref);
    if (roots === undefined || revoked === undefined) return roots;
    const lists = this.revocations(revoked)?.lists;
    // Return nothing until the lists have arrived, so that nobody is admitted: a list might revoke the peer.
    return lists === undefined
      ? undefined
      : this.#kept(`roots and lists ${name}`, `${roots.roots} ${lists}`, () => ({
          roots: roots.roots,
          revocations: lists,
        }));
  }

  /** The mesh's roots, with the revocation lists of the mesh's authorities if there are any. */
  #meshRoots(): RootsMaterial | undefined {
    const own = this.#ownMaterial();
    const path = this.#options.meshRevocationsFile;
    if (own === undefined || path === undefined) return own;
    const text = this.#file(path, true);
    if (text === undefined) return this.#files.get(path)?.tried === true ? own : undefined;
    const lists = this.#usableLists(path, text);
    if (lists === undefined) return undefined;
    // An empty file means that there are no lists. Upstream's control plane writes one in that case.
    if (lists.trim() === "") return own;
    const { roots, restrictions } = own;
    return this.#kept(meshRoots, `${roots} ${lists} ${JSON.stringify(restrictions)}`, () => ({
      roots,
      restrictions,
      revocations: lists,
    }));
  }

  /**
   * The lists of a file. If they cannot be used, the last usable ones. Undefined if there have been none yet: then
   * nobody is admitted, because a list might revoke the peer.
   */
  #usableLists(path: string, text: string): string | undefined {
    if (text === this.#lists.text) return this.#lists.usable;
    const fault = text.trim() === "" ? undefined : revocationsFault(text);
    if (fault !== undefined)
      this.#options.log.warn("the revocation lists cannot be used", {
        path,
        error: fault,
        hasOlder: this.#lists.usable !== undefined,
      });
    this.#lists = { text, usable: fault === undefined ? text : this.#lists.usable, fault };
    return this.#lists.usable;
  }

  #ownMaterial(): (CertificateMaterial & RootsMaterial) | undefined {
    const certificate = this.#options.certificates.peek(this.#options.identity);
    if (certificate === undefined) return undefined;
    let material = this.#own.get(certificate);
    if (material === undefined) {
      const { chainPem, privateKeyPem, rootsPem, restrictions } = certificate;
      material = { chain: chainPem, key: privateKeyPem, roots: rootsPem, restrictions };
      this.#own.set(certificate, material);
    }
    return material;
  }

  #fileCertificate(chainPath: string, keyPath: string): CertificateMaterial | undefined {
    const [chain, key] = [this.#file(chainPath), this.#file(keyPath)];
    if (chain === undefined || key === undefined) return undefined;
    return this.#kept(`${fileCertificatePrefix}${chainPath}~${keyPath}`, chain + key, () => ({ chain, key }));
  }

  #fileRoots(path: string): RootsMaterial | undefined {
    const roots = this.#file(path);
    return roots === undefined ? undefined : this.#kept(`${fileRootsPrefix}${path}`, roots, () => ({ roots }));
  }

  /**
   * Returns the object of the previous call while the inputs are unchanged, so that caches keyed by the object stay
   * valid.
   */
  #kept<Material extends CertificateMaterial | RootsMaterial | RevocationsMaterial>(
    name: string,
    from: string,
    make: () => Material,
  ): Material {
    const known = this.#materials.get(name);
    if (known?.from === from) return known.material as Material;
    const material = make();
    this.#materials.set(name, { from, material });
    return material;
  }

  /** The content of a file. A missing file is logged unless it is optional. */
  #file(path: string, optional = false): string | undefined {
    let entry = this.#files.get(path);
    if (entry === undefined) {
      entry = { tried: false, optional, text: undefined, trouble: undefined, readMs: 0 };
      this.#files.set(path, entry);
      void this.#read(path, entry, this.#options.clock.steadyMs());
    }
    return entry.text;
  }

  async #read(path: string, entry: FileEntry, nowMs: number): Promise<void> {
    entry.readMs = nowMs;
    try {
      const text = await this.#options.readFile(path);
      if (text !== entry.text && entry.text !== undefined)
        this.#options.log.info("a certificate file has changed", { path });
      entry.text = text;
      entry.trouble = undefined;
    } catch (error) {
      const trouble = messageOf(error);
      if (entry.trouble !== trouble && !(entry.optional && isAbsent(error)))
        this.#options.log.warn("a certificate file cannot be read", { path, error: trouble });
      entry.trouble = trouble;
    }
    entry.tried = true;
    if (path === this.#options.meshRevocationsFile) this.#tell();
    else this.#wake();
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
