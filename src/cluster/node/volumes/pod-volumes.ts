import { chmodSync, closeSync, constants, existsSync, lstatSync, mkdirSync, realpathSync, statSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import type {
  ConfigMap,
  DownwardItem,
  KeyToPath,
  Pod,
  Secret,
  Volume,
  VolumeProjection,
} from "../../../api/kubernetes/index.ts";
import { transientError, userError, type Clock } from "../../../base/index.ts";
import { claimedVolume, type ClaimSources } from "./claimed-volume.ts";
import { inDirectoryBelow, openFileBelow, type PlaceBelow } from "../place-below.ts";
import { writeAtomicDirectory, type DirectoryFile } from "./atomic-directory.ts";
import { fieldValue, resourceValue, type EnvironmentSources } from "../containers/container-environment.ts";

export interface VolumeSources extends EnvironmentSources {
  readonly storage: ClaimSources;
  /** A token of the pod's service account, bound to the pod. */
  token(request: TokenRequest): Promise<IssuedToken>;
}

export interface TokenRequest {
  readonly audience: string | undefined;
  readonly expirationSeconds: number;
}

export interface IssuedToken {
  readonly token: string;
  readonly expiresAtMs: number;
}

export interface PodVolumesOptions {
  /** The directory in the lab's tmpfs for volumes with secrets, which are never written to disk. */
  readonly memoryDirectory: string;
  /** The directory for emptyDirs, below {@link hostRoot}. */
  readonly diskDirectory: string;
  /** The node's host root, in which the path of a `hostPath` is looked up. */
  readonly hostRoot: string;
  readonly clock: Clock;
  /** Called when a request for a new token has succeeded or failed. {@link PodVolumes.prepare} must then be called. */
  readonly onRenewal?: () => void;
}

const defaultFileMode = 0o644;
const defaultTokenSeconds = 3_600;
/** The part of a token's lifetime after which it is renewed, as in the kubelet. */
const tokenRenewShare = 0.8;
const renewRetryMs = 500;
/** Directories of the kernel. They are those of the machine, because all nodes of the lab share them. */
const sharedHostPaths = ["/proc", "/sys", "/dev"];
/**
 * The directory of devices. Pods get only single devices from it, because it also contains shared memory and message
 * queues of the lab's user.
 */
const deviceDirectory = "/dev";
/** The kernel's major numbers of terminals: consoles, /dev/tty, the masters, and the slaves in /dev/pts. */
const terminalMajors = [4, 5, 136, 137, 138, 139, 140, 141, 142, 143];

interface HeldToken extends IssuedToken {
  /** When to renew the token. During a renewal, it is the time at which the token expires. */
  readonly renewAtMs: number;
}

/** The volumes of one pod. They are prepared before its containers start, and kept current while it runs. */
export class PodVolumes {
  readonly #options: PodVolumesOptions;
  readonly #tokens = new Map<string, HeldToken>();
  /**
   * The volumes of the pod's claims as hostPath volumes, by the volume's name in the pod. A claim's binding never
   * changes.
   */
  readonly #claimed = new Map<string, Volume>();

  constructor(options: PodVolumesOptions) {
    this.#options = options;
  }

  /**
   * Makes missing volumes, and updates changed ones. Throws a transient error if a source is missing, and a user error
   * for a volume that the lab cannot mount.
   */
  async prepare(sources: VolumeSources): Promise<void> {
    for (const volume of sources.pod.spec?.volumes ?? []) await this.#prepareOne(volume, sources);
  }

  /** The time at which {@link prepare} must run again to renew a token. Undefined means never. */
  get renewAtMs(): number | undefined {
    const times = [...this.#tokens.values()].map((token) => token.renewAtMs);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** Whether a volume of the pod contains its labels or annotations, which may change. */
  static showsMetadata(pod: Pod): boolean {
    return (pod.spec?.volumes ?? []).some(
      (volume) =>
        volume.downwardAPI !== undefined ||
        volume.projected?.sources?.some((source) => source.downwardAPI !== undefined) === true,
    );
  }

  /** The path of a volume outside of containers. Throws a user error if a hostPath leads out of the node's root. */
  pathOf(volume: Volume): string {
    return this.placeOf(volume).path;
  }

  /**
   * The place of a volume outside of containers. Its root is a directory in which pods cannot write, or the host root.
   */
  placeOf(volume: Volume): PlaceBelow {
    if (volume.persistentVolumeClaim !== undefined) {
      const claimed = this.#claimed.get(volume.name);
      if (claimed === undefined)
        throw transientError("volume-source-missing", `volume "${volume.name}" is not prepared yet`);
      return this.#hostPlace(claimed);
    }
    if (volume.hostPath !== undefined) return this.#hostPlace(volume);
    const { memoryDirectory, diskDirectory, hostRoot } = this.#options;
    if (volume.emptyDir === undefined) return { root: memoryDirectory, path: join(memoryDirectory, volume.name) };
    return volume.emptyDir.medium === "Memory"
      ? { root: memoryDirectory, path: join(memoryDirectory, "empty-dir", volume.name) }
      : { root: hostRoot, path: join(diskDirectory, "empty-dir", volume.name) };
  }

  async #prepareOne(volume: Volume, sources: VolumeSources): Promise<void> {
    if (volume.persistentVolumeClaim !== undefined) {
      const claimed = this.#claimed.get(volume.name) ?? claimedVolume(volume, sources.storage);
      makeHostPath(this.#hostPlace(claimed), claimed, 0o777);
      this.#claimed.set(volume.name, claimed);
      return;
    }
    const place = this.placeOf(volume);
    if (volume.emptyDir !== undefined) {
      mkdirSync(place.root, { recursive: true });
      inDirectoryBelow(place, { createMissing: true }, (directory) => chmodSync(directory, 0o777));
    } else if (volume.hostPath !== undefined) makeHostPath(place, volume);
    else {
      const files = await this.#filesOf(volume, sources);
      writeAtomicDirectory(place.path, files, this.#options.clock.nowMs());
    }
  }

  #hostPlace(volume: Volume): PlaceBelow {
    const requestedPath = normalize(volume.hostPath?.path ?? "/");
    const isShared = sharedHostPaths.some((shared) => isAtOrBelow(requestedPath, shared));
    const root = isShared ? "/" : this.#options.hostRoot;
    const path = join(root, requestedPath);
    // A link in the host root may come from a pod, and must not lead out of the host root. A link in a directory of the
    // kernel must not lead out of that directory. All other links are resolved here, because a container's mount
    // follows no links.
    for (let existing = path; existing.length >= root.length; existing = dirname(existing)) {
      if (!existsSync(existing)) continue;
      const real = realpathSync(existing);
      const realRoot = realpathSync(root);
      const mayUse = isShared
        ? sharedHostPaths.some((shared) => isAtOrBelow(real, shared))
        : isAtOrBelow(real, realRoot);
      if (!mayUse)
        throw userError(
          "volume-invalid",
          `hostPath ${requestedPath} of volume "${volume.name}" points outside the node's directory`,
        );
      if (isShared && isAtOrBelow(real, deviceDirectory)) requireDevice(real, requestedPath, volume.name);
      return { root, path: join(root, relative(realRoot, real), relative(existing, path)) };
    }
    return { root, path };
  }

  async #filesOf(volume: Volume, sources: VolumeSources): Promise<Map<string, DirectoryFile>> {
    const files = new Map<string, DirectoryFile>();
    if (volume.configMap !== undefined) {
      const { name = "", items, optional, defaultMode = defaultFileMode } = volume.configMap;
      addConfigMap(files, sources.configMap(name), { name, items, optional, mode: defaultMode });
    } else if (volume.secret !== undefined) {
      const { secretName = "", items, optional, defaultMode = defaultFileMode } = volume.secret;
      addSecret(files, sources.secret(secretName), { name: secretName, items, optional, mode: defaultMode });
    } else if (volume.downwardAPI !== undefined) {
      addDownward(files, volume.downwardAPI.items, sources, volume.downwardAPI.defaultMode ?? defaultFileMode);
    } else if (volume.projected !== undefined) {
      const mode = volume.projected.defaultMode ?? defaultFileMode;
      for (const [index, source] of (volume.projected.sources ?? []).entries())
        await this.#addProjection(files, source, sources, mode, `${volume.name}/${index}`);
    } else throw userError("volume-invalid", `volume "${volume.name}" has a type that the lab does not support`);
    return files;
  }

  async #addProjection(
    files: Map<string, DirectoryFile>,
    source: VolumeProjection,
    sources: VolumeSources,
    mode: number,
    key: string,
  ): Promise<void> {
    if (source.configMap !== undefined) {
      const { name = "", items, optional } = source.configMap;
      addConfigMap(files, sources.configMap(name), { name, items, optional, mode });
    }
    if (source.secret !== undefined) {
      const { name = "", items, optional } = source.secret;
      addSecret(files, sources.secret(name), { name, items, optional, mode });
    }
    if (source.downwardAPI !== undefined) addDownward(files, source.downwardAPI.items, sources, mode);
    if (source.serviceAccountToken !== undefined) {
      const { audience, expirationSeconds = defaultTokenSeconds, path } = source.serviceAccountToken;
      const held = await this.#token(key, { audience, expirationSeconds }, sources);
      files.set(insidePath(path), { data: Buffer.from(held.token), mode });
    }
  }

  /**
   * Returns the token, and requests it if there is no valid one. As in a kubelet, a valid token stays in use while the
   * next one is requested, so that the pod's containers do not wait for a server that does not answer.
   */
  async #token(key: string, request: TokenRequest, sources: VolumeSources): Promise<IssuedToken> {
    const { clock, onRenewal } = this.#options;
    const held = this.#tokens.get(key);
    if (held === undefined || clock.nowMs() >= held.expiresAtMs) return await this.#issue(key, request, sources);
    if (clock.nowMs() >= held.renewAtMs) {
      const renewing = { ...held, renewAtMs: held.expiresAtMs };
      this.#tokens.set(key, renewing);
      const failed = (): void => {
        if (this.#tokens.get(key) === renewing)
          this.#tokens.set(key, { ...held, renewAtMs: clock.nowMs() + renewRetryMs });
      };
      void this.#issue(key, request, sources)
        .catch(failed)
        .then(() => onRenewal?.());
    }
    return held;
  }

  async #issue(key: string, request: TokenRequest, sources: VolumeSources): Promise<IssuedToken> {
    const nowMs = this.#options.clock.nowMs();
    const issued = await sources.token(request);
    this.#tokens.set(key, { ...issued, renewAtMs: nowMs + (issued.expiresAtMs - nowMs) * tokenRenewShare });
    return issued;
  }
}

interface KeyedSource {
  readonly name: string;
  readonly items: readonly KeyToPath[] | undefined;
  readonly optional: boolean | undefined;
  readonly mode: number;
}

function addConfigMap(files: Map<string, DirectoryFile>, map: ConfigMap | undefined, source: KeyedSource): void {
  if (map === undefined && source.optional !== true)
    throw transientError("volume-source-missing", `configmap "${source.name}" not found`);
  const data = new Map<string, Buffer>();
  for (const [key, value] of Object.entries(map?.data ?? {})) data.set(key, Buffer.from(value));
  for (const [key, value] of Object.entries(map?.binaryData ?? {})) data.set(key, Buffer.from(value, "base64"));
  addKeyed(files, data, source, "configmap");
}

function addSecret(files: Map<string, DirectoryFile>, secret: Secret | undefined, source: KeyedSource): void {
  if (secret === undefined && source.optional !== true)
    throw transientError("volume-source-missing", `secret "${source.name}" not found`);
  const data = new Map(Object.entries(secret?.data ?? {}).map(([key, value]) => [key, Buffer.from(value, "base64")]));
  addKeyed(files, data, source, "secret");
}

function addKeyed(
  files: Map<string, DirectoryFile>,
  data: ReadonlyMap<string, Buffer>,
  source: KeyedSource,
  kind: string,
): void {
  if (source.items === undefined) {
    for (const [key, value] of data) files.set(key, { data: value, mode: source.mode });
    return;
  }
  for (const { key, path, mode } of source.items) {
    const value = data.get(key);
    if (value !== undefined) files.set(insidePath(path), { data: value, mode: mode ?? source.mode });
    else if (source.optional !== true)
      throw transientError("volume-source-missing", `references non-existent ${kind} key: ${key} of "${source.name}"`);
  }
}

function addDownward(
  files: Map<string, DirectoryFile>,
  items: readonly DownwardItem[] | undefined,
  sources: EnvironmentSources,
  mode: number,
): void {
  for (const { path, fieldRef, resourceFieldRef } of items ?? []) {
    let value = "";
    if (fieldRef !== undefined) value = fieldValue(fieldRef.fieldPath, sources);
    else if (resourceFieldRef !== undefined) value = resourceValue(resourceFieldRef, { name: "" }, sources.pod);
    files.set(insidePath(path), { data: Buffer.from(value), mode });
  }
}

function insidePath(path: string): string {
  const normal = normalize(path);
  if (normal.startsWith("/") || normal === ".." || normal.startsWith("../"))
    throw userError("volume-invalid", `path "${path}" of a volume item points outside the volume`);
  return normal;
}

/** Throws a user error unless the path is a character device that is not a terminal. */
function requireDevice(path: string, requestedPath: string, volumeName: string): void {
  const status = statSync(path);
  if (status.isCharacterDevice() && !terminalMajors.includes((status.rdev >>> 8) & 0xfff)) return;
  throw userError(
    "volume-invalid",
    `hostPath ${requestedPath} of volume "${volumeName}" is not a character device such as /dev/kvm, or it is a ` +
      "terminal. Other files of /dev belong to the user of the lab",
  );
}

function isAtOrBelow(path: string, parent: string): boolean {
  return path === parent || path.startsWith(`${parent}/`);
}

/**
 * Creates a path as `hostPath.type` requires. A new directory gets the mode. The disk of a lab's node is empty at
 * first, so a path without a type is created as a directory. Nothing is created in the directories of the kernel.
 */
function makeHostPath(place: PlaceBelow, volume: Volume, mode?: number): void {
  const type = volume.hostPath?.type ?? "";
  if (lstatSync(place.path, { throwIfNoEntry: false }) !== undefined) return;
  if (place.root !== "/" && ["", "DirectoryOrCreate", "Directory"].includes(type)) {
    mkdirSync(place.root, { recursive: true });
    inDirectoryBelow(place, { createMissing: true }, (directory) => {
      if (mode !== undefined) chmodSync(directory, mode);
    });
  } else if (place.root !== "/" && type === "FileOrCreate") {
    mkdirSync(place.root, { recursive: true });
    closeSync(openFileBelow(place, constants.O_CREAT | constants.O_WRONLY, 0o644));
  } else
    throw transientError(
      "volume-invalid",
      `hostPath type check failed: ${volume.hostPath?.path} is not a ${type === "" ? "directory" : type.toLowerCase()}`,
    );
}
