import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { extname } from "node:path";
import { brotliCompressSync, constants, gunzipSync, gzipSync } from "node:zlib";
import type { PageFiles } from "../bundle/index.ts";

interface Asset {
  readonly type: string;
  readonly digest: string;
  readonly cacheControl: string;
  /** The bytes by content coding. A file that is not compressed has only `identity`. */
  readonly bodies: ReadonlyMap<string, Uint8Array>;
}

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".txt": "text/plain; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".woff2": "font/woff2",
};

/** Chunks have a hash of their content in their names. */
const hashedName = /-[A-Z0-9]{8}\.\w+$/;
const compressible = /^(text\/|image\/svg)/;
const brotliQuality = 5;
/** The window for brotli: 256 kB. A larger one saves little, and needs much memory. */
const brotliWindowBits = 18;
const digestLength = 22;

/** The page's files, compressed once, with the headers for browsers' caches. */
export class PageAssets {
  readonly #assets: ReadonlyMap<string, Asset>;

  private constructor(assets: ReadonlyMap<string, Asset>) {
    this.#assets = assets;
  }

  /** Compresses the files, which takes about 0.1 s. */
  static from(files: PageFiles): PageAssets {
    const assets = new Map<string, Asset>();
    // Compress in this thread, one file after the other. Compression takes megabytes, which other threads seldom free.
    for (const [name, contents] of files) assets.set(name, assetOf(name, contents));
    return new PageAssets(assets);
  }

  has(name: string): boolean {
    return this.#assets.has(name);
  }

  /** Answers with a file, or with 304 if the browser has it. Throws if there is no such file. */
  send(name: string, request: IncomingMessage, response: ServerResponse): void {
    const asset = this.#assets.get(name);
    if (asset === undefined) throw new Error(`the page has no file ${name}`);
    const coding = codingOf(request.headers["accept-encoding"], asset.bodies);
    const body = asset.bodies.get(coding) ?? gunzipSync(asset.bodies.get("gzip") ?? new Uint8Array());
    const etag = `"${asset.digest}-${coding}"`;
    response.setHeader("etag", etag);
    response.setHeader("cache-control", asset.cacheControl);
    response.setHeader("vary", "accept-encoding");
    const known = request.headers["if-none-match"]?.split(",").map((tag) => tag.trim().replace(/^W\//, ""));
    if (known?.includes(etag) === true) {
      response.writeHead(304).end();
      return;
    }
    if (coding !== "identity") response.setHeader("content-encoding", coding);
    response.writeHead(200, { "content-type": asset.type, "content-length": String(body.length) });
    response.end(request.method === "HEAD" ? undefined : body);
  }
}

function assetOf(name: string, contents: Uint8Array): Asset {
  const type = types[extname(name)] ?? "application/octet-stream";
  const bodies = new Map<string, Uint8Array>();
  if (!compressible.test(type)) bodies.set("identity", contents);
  else {
    const params = {
      [constants.BROTLI_PARAM_QUALITY]: brotliQuality,
      [constants.BROTLI_PARAM_LGWIN]: brotliWindowBits,
      [constants.BROTLI_PARAM_SIZE_HINT]: contents.length,
    };
    // Copy the result: it is a part of the compressor's larger buffer.
    bodies.set("br", new Uint8Array(brotliCompressSync(contents, { params })));
    bodies.set("gzip", new Uint8Array(gzipSync(contents)));
  }
  return {
    type,
    digest: createHash("sha256").update(contents).digest("base64url").slice(0, digestLength),
    cacheControl: hashedName.test(name) ? "public, max-age=31536000, immutable" : "no-cache",
    bodies,
  };
}

function codingOf(accepted: string | undefined, bodies: ReadonlyMap<string, Uint8Array>): string {
  const offers = (accepted ?? "").split(",").map((offer) => offer.trim().toLowerCase());
  const takes = (coding: string): boolean =>
    offers.some((offer) => offer.split(";")[0]?.trim() === coding && !/;\s*q=0(\.0*)?$/.test(offer));
  return ["br", "gzip"].find((coding) => bodies.has(coding) && takes(coding)) ?? "identity";
}
