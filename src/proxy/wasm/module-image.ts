import { createHash } from "node:crypto";
import { isIP } from "node:net";
import {
  cidrOf,
  isAddressOf,
  isInsideAddress,
  isTree,
  transientError,
  userError,
  type SerinError,
} from "../../base/index.ts";
import { maxManifestBytes, maxModuleBytes } from "./limits.ts";
import { fileOf, unzip } from "./module-archive.ts";
import { boundedBody, type FetchResult, type ModuleCode } from "./module-source.ts";

export interface ImageRequest {
  /** The image: `oci://registry/repository:tag`, or with `@sha256:…` exactly one image. */
  readonly url: string;
  /** The SHA-256 checksum of the image's manifest in hexadecimal. Empty means that any manifest is accepted. */
  readonly sha256: string;
  /** The content of a pull secret (`.dockerconfigjson`). Empty means no credentials. */
  readonly secret: string;
  readonly signal: AbortSignal;
  readonly fetch: typeof globalThis.fetch;
  /**
   * Called with the result to report if a later step fails. Before the first call, the result is that the manifest
   * could not be fetched.
   */
  readonly failsAs: (failure: FetchResult) => void;
}

interface Place {
  readonly origin: string;
  readonly registry: string;
  readonly repository: string;
  readonly reference: string;
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly platform?: { readonly os?: string; readonly architecture?: string };
}

const manifestTypes = [
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
];
const archiveTypes: ReadonlySet<string> = new Set([
  "application/vnd.oci.image.layer.v1.tar+gzip",
  "application/vnd.docker.image.rootfs.diff.tar.gzip",
]);
const moduleType = "application/vnd.module.wasm.content.layer.v1+wasm";
const moduleName = "plugin.wasm";

/**
 * Extracts the module from an image: from a layer that is the module itself, or from the file `plugin.wasm` in the last
 * layer.
 */
export async function moduleOfImage(request: ImageRequest): Promise<ModuleCode> {
  const { url, sha256 } = request;
  const image = new Image(request, placeOf(url));
  const { manifest, digest } = await image.manifest();
  request.failsAs("checksum_mismatched");
  if (sha256 !== "" && sha256 !== digest)
    throw userError(
      "module-unreachable",
      `the image ${url} has the SHA-256 ${digest}, not ${sha256}: correct sha256, or the image`,
    );
  request.failsAs("download_failure");
  const layers = descriptorsOf(manifest["layers"]);
  const moduleLayer = layers.find(({ mediaType }) => mediaType === moduleType);
  const last = layers.at(-1);
  if (moduleLayer !== undefined) return { bytes: await image.blob(moduleLayer), checksum: digest };
  if (last === undefined || !archiveTypes.has(last.mediaType))
    throw userError(
      "module-unreachable",
      `the image ${url} has no layer with a module: ${last?.mediaType ?? "it has no layer"}`,
    );
  const archive = await unzip(await image.blob(last));
  const bytes = fileOf(archive, (path) => path.split("/").at(-1) === moduleName);
  if (bytes === undefined)
    throw userError("module-unreachable", `the last layer of the image ${url} has no file ${moduleName}`);
  return { bytes, checksum: digest };
}

class Image {
  readonly #request: ImageRequest;
  readonly #place: Place;
  #authorization: string | undefined;

  constructor(request: ImageRequest, place: Place) {
    this.#request = request;
    this.#place = place;
  }

  async manifest(): Promise<{ readonly manifest: Readonly<Record<string, unknown>>; readonly digest: string }> {
    const { reference } = this.#place;
    const found = await this.#manifest(reference);
    const images = descriptorsOf(found.manifest["manifests"]);
    if (images.length === 0) return found;
    const chosen =
      images.find(({ platform }) => platform?.os === "linux" && platform.architecture === "amd64") ?? images[0];
    return await this.#manifest(chosen?.digest ?? "");
  }

  async blob({ digest }: Descriptor): Promise<Buffer> {
    return this.#checked(await this.#get(`blobs/${digest}`, maxModuleBytes), digest);
  }

  async #manifest(
    reference: string,
  ): Promise<{ readonly manifest: Readonly<Record<string, unknown>>; readonly digest: string }> {
    const bytes = this.#checked(await this.#get(`manifests/${reference}`, maxManifestBytes), reference);
    const manifest: unknown = JSON.parse(bytes.toString());
    if (typeof manifest !== "object" || manifest === null)
      throw userError("module-unreachable", `the manifest of ${this.#request.url} is not an object`);
    return { manifest: manifest as Readonly<Record<string, unknown>>, digest: checksumOf(bytes) };
  }

  #checked(bytes: Buffer, digest: string): Buffer {
    if (digest.includes(":") && digest !== `sha256:${checksumOf(bytes)}`)
      throw userError(
        "module-unreachable",
        `the registry returned bytes that do not match ${digest} of ${this.#request.url}`,
      );
    return bytes;
  }

  async #get(path: string, maxBytes: number): Promise<Buffer> {
    const { origin, repository } = this.#place;
    const { url, signal, fetch } = this.#request;
    for (const isSecond of [false, true]) {
      const response = await fetch(`${origin}/v2/${repository}/${path}`, {
        signal,
        headers: {
          accept: path.startsWith("manifests/") ? manifestTypes.join(", ") : "*/*",
          ...(this.#authorization === undefined ? {} : { authorization: this.#authorization }),
        },
      });
      if (response.ok) return await boundedBody(response, maxBytes);
      await response.body?.cancel();
      if (response.status === 401 && !isSecond) {
        this.#authorization = await this.#authorize(response.headers.get("www-authenticate") ?? "");
        continue;
      }
      throw refused(response.status, `the registry answers ${response.status} for ${url}`);
    }
    throw userError("module-unreachable", `the registry refuses the credentials for ${url}`);
  }

  /**
   * Answers a registry's challenge, either with the credentials or with a token that is fetched with them. Returns the
   * value of `authorization`.
   */
  async #authorize(challenge: string): Promise<string> {
    const { signal, fetch, url, secret } = this.#request;
    const { origin, registry, repository } = this.#place;
    const basic = credentialsOf(secret, registry);
    const [scheme = ""] = challenge.split(" ", 1);
    if (scheme.toLowerCase() !== "bearer") {
      if (basic === undefined) throw userError("module-unreachable", `the registry of ${url} asks for imagePullSecret`);
      return `Basic ${basic}`;
    }
    const parameters = Object.fromEntries(
      [...challenge.matchAll(/(?<![a-z])([a-z]+)="([^"]*)"/g)].map(([, name = "", value = ""]) => [name, value]),
    );
    const realm = URL.parse(parameters["realm"] ?? "", origin);
    if (realm === null)
      throw userError("module-unreachable", `the registry of ${url} names a token server whose address is no URL`);
    if (!mayName(origin, realm))
      throw userError(
        "module-unreachable",
        `the registry of ${url} names a token server inside the network: ${realm.host}`,
      );
    if (realm.protocol !== "https:" && origin.startsWith("https:"))
      throw userError("module-unreachable", `the registry of ${url} names a token server without TLS`);
    realm.searchParams.set("service", parameters["service"] ?? "");
    realm.searchParams.set("scope", parameters["scope"] ?? `repository:${repository}:pull`);
    const response = await fetch(realm, {
      signal,
      headers: basic === undefined ? {} : { authorization: `Basic ${basic}` },
    });
    if (!response.ok) throw refused(response.status, `the registry of ${url} returned no token: ${response.status}`);
    const given = JSON.parse((await boundedBody(response, maxManifestBytes)).toString()) as Readonly<
      Record<string, unknown>
    >;
    return `Bearer ${String(given["token"] ?? given["access_token"])}`;
  }
}

const privateNetworks = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"].flatMap(
  (text) => cidrOf(text) ?? [],
);

/**
 * Whether a registry may send the proxy to this token server. It may name its own host. A registry with a public name
 * must not reach private addresses through the proxy. No registry may reach the proxy's own machine, or the cloud's
 * metadata service, which hands out the machine's credentials.
 */
function mayName(origin: string, { protocol, hostname }: URL): boolean {
  if (protocol !== "https:" && protocol !== "http:") return false;
  const registry = new URL(origin).hostname;
  if (hostname === registry) return true;
  const host = hostname.replace(/^\[|\]$|\.$/g, "");
  if (isIP(host) === 0) return !/(^|\.)localhost$|^metadata\.google\.internal$/.test(host);
  return !isInsideAddress(host) && (isNear(registry) || !isAddressOf(host, privateNetworks));
}

/**
 * The error for a refused request. A temporary fault of the server makes an error after which the request is repeated.
 */
function refused(status: number, message: string): SerinError {
  return status >= 500 || status === 429
    ? transientError("module-unreachable", message)
    : userError("module-unreachable", `${message}: check the image's name, and imagePullSecret`);
}

function checksumOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function placeOf(url: string): Place {
  const parts = /^oci:\/\/([^/@]+)\/([^@]+?)(?::([\w][\w.-]*))?(?:@(sha256:[0-9a-f]{64}))?$/.exec(url);
  const [, registry = "", repository = "", tag = "latest", digest] = parts ?? [];
  if (registry === "" || repository === "" || repository.includes(".."))
    throw userError("module-invalid", `${url} is not an image: expected oci://registry/repository:tag`);
  // Use plain HTTP for a registry on this host or at a private address, as upstream's Go client does.
  const scheme = isNear(registry.replace(/:\d+$/, "")) ? "http" : "https";
  return { origin: `${scheme}://${registry}`, registry, repository, reference: digest ?? tag };
}

function isNear(host: string): boolean {
  return host === "localhost" || (isIP(host) === 4 && /^(127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)/.test(host));
}

function descriptorsOf(value: unknown): readonly Descriptor[] {
  if (!Array.isArray(value)) return [];
  return value.filter(
    (element): element is Descriptor =>
      typeof element === "object" &&
      element !== null &&
      /^sha256:[0-9a-f]{64}$/.test(String(Reflect.get(element, "digest"))) &&
      typeof Reflect.get(element, "mediaType") === "string",
  );
}

/** The `user:password` for a registry, in base64. Undefined if the secret has none for it. */
function credentialsOf(secret: string, registry: string): string | undefined {
  if (secret === "") return undefined;
  let config: unknown;
  try {
    config = JSON.parse(secret);
  } catch {
    throw userError("module-unreachable", "imagePullSecret has no .dockerconfigjson that can be read");
  }
  const auths: unknown = typeof config === "object" && config !== null ? Reflect.get(config, "auths") : undefined;
  for (const [name, entry] of Object.entries((auths ?? {}) as Readonly<Record<string, unknown>>)) {
    if (name.replace(/^https?:\/\//, "").split("/", 1)[0] !== registry) continue;
    const { auth, username, password } = isTree(entry) ? entry : {};
    if (typeof auth === "string" && auth !== "") return auth;
    // Docker writes an empty entry if a program of its own keeps the credentials.
    if (typeof username !== "string" || typeof password !== "string") return undefined;
    return Buffer.from(`${username}:${password}`).toString("base64");
  }
  return undefined;
}
