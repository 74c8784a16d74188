// A read-only registry with the images of some layouts. It answers for any registry, and a node's containerd uses it in
// place of all others, so that pods whose image is always pulled need no Internet.
import { createReadStream, existsSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { ImageLayout, type Descriptor } from "../../src/cli/image/image-layout.ts";
import { parseImageReference } from "../../src/cluster/images/image-reference.ts";

interface Served {
  readonly layout: ImageLayout;
  readonly blob: Descriptor;
}

export interface ImageRegistryOptions {
  /**
   * The directories of the layouts. If two have an image of the same name, the first counts. A layer may be in another
   * layout than its image.
   */
  readonly layouts: readonly string[];
  /** Our hub. Images of other hubs are looked up here by their last name, because the guides name hubs of their own. */
  readonly hub: string;
  /** Without this account, the registry answers 401. Absent if it answers everybody. */
  readonly account?: { readonly username: string; readonly password: string };
}

export class ImageRegistry {
  readonly #options: ImageRegistryOptions;
  readonly #images = new Map<string, Served>();
  readonly #blobs = new Map<string, Served>();
  #server: Server | undefined;

  constructor(options: ImageRegistryOptions) {
    this.#options = options;
  }

  async load(): Promise<void> {
    for (const directory of this.#options.layouts) await this.#add(new ImageLayout(directory));
  }

  async listen(port: number, host: string): Promise<void> {
    await this.load();
    const server = createServer((incoming, answer) => {
      this.#answer(incoming, answer);
    });
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject).listen(port, host, resolve);
    });
  }

  close(): void {
    this.#server?.closeAllConnections();
    this.#server?.close();
  }

  /** The descriptor of the image that a node requests by this name. Undefined if there is none. */
  find(image: string): Descriptor | undefined {
    return this.#find(image)?.blob;
  }

  hasBlob(digest: string): boolean {
    return this.#blobs.has(digest);
  }

  #find(image: string): Served | undefined {
    const { repository, tag } = parseImageReference(image);
    const name = repository.slice(repository.lastIndexOf("/") + 1);
    return this.#images.get(`${repository}:${tag}`) ?? this.#images.get(`${this.#options.hub}/${name}:${tag}`);
  }

  async #add(layout: ImageLayout): Promise<void> {
    for (const { reference, index, variants } of await layout.images()) {
      const { repository, tag } = parseImageReference(reference);
      const name = `${repository}:${tag}`;
      if (!this.#images.has(name)) this.#images.set(name, { layout, blob: index });
      for (const blob of [index, ...variants.flatMap(({ manifest, config, layers }) => [manifest, config, ...layers])])
        if (existsSync(layout.pathOf(blob))) this.#blobs.set(blob.digest, { layout, blob });
    }
  }

  /**
   * Serves `/v2/NAME/manifests/TAG-OR-DIGEST?ns=REGISTRY` and `/v2/NAME/blobs/DIGEST`, as the OCI distribution
   * specification says.
   */
  #answer({ method, url = "", headers }: IncomingMessage, answer: ServerResponse): void {
    const { account } = this.#options;
    if (account !== undefined && headers.authorization !== basic(account)) {
      answer.writeHead(401, { "www-authenticate": 'Basic realm="registry"', "content-type": "application/json" });
      answer.end(JSON.stringify({ errors: [{ code: "UNAUTHORIZED", message: "authentication required" }] }));
      return;
    }
    const { pathname, searchParams } = new URL(url, "http://registry");
    if (pathname === "/v2/") {
      answer.end("{}");
      return;
    }
    const [, name = "", wanted = ""] = /^\/v2\/(.+)\/(?:manifests|blobs)\/([^/]+)$/.exec(pathname) ?? [];
    const served = wanted.startsWith("sha256:")
      ? this.#blobs.get(wanted)
      : this.#find(`${searchParams.get("ns") ?? "docker.io"}/${name}:${wanted}`);
    if (served === undefined) {
      answer.writeHead(404, { "content-type": "application/json" });
      answer.end(JSON.stringify({ errors: [{ code: "MANIFEST_UNKNOWN", message: `${name}:${wanted} is not here` }] }));
      return;
    }
    const { layout, blob } = served;
    answer.writeHead(200, {
      "content-type": blob.mediaType,
      "content-length": blob.size,
      "docker-content-digest": blob.digest,
    });
    if (method === "HEAD") answer.end();
    else createReadStream(layout.pathOf(blob)).pipe(answer);
  }
}

function basic({ username, password }: NonNullable<ImageRegistryOptions["account"]>): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}
