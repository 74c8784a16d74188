// Serves the paths that are not resources: version, health, discovery, OpenAPI and the token issuer's keys.
import type { ServerResponse, IncomingMessage } from "node:http";
import type { Discovery } from "./discovery.ts";
import type { ServerParts } from "./context.ts";
import { kubernetesVersion } from "../record/index.ts";
import { NotServed, unknownPath } from "./status.ts";

export interface PathContext {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly path: string;
  readonly query: URLSearchParams;
}

/** The reported Kubernetes version. Some wrappers of kubectl choose the client version by it. */
const [major = "", minor = ""] = kubernetesVersion.slice(1).split(".");
const versionInfo = { major, minor, gitVersion: kubernetesVersion };

const health = new Set(["/healthz", "/livez", "/readyz"]);

export function answerPath(parts: ServerParts, discovery: Discovery, context: PathContext): void {
  const { path, request, query } = context;
  if (path === "/version" || path === "/version/") return sendValue(context, versionDocument());
  const probe = `/${path.split("/")[1] ?? ""}`;
  if (health.has(probe)) return sendHealth(parts, context, probe.slice(1), query);
  const document = discovery.answer(path, request);
  if (document !== undefined) return sendTagged(context, document.body, document.contentType, document.etag);
  if (path.startsWith("/openapi/")) return answerOpenApi(parts, context);
  if (path === "/openid/v1/jwks") return sendValue(context, parts.tokens.jwks(), "application/jwk-set+json");
  if (path === "/.well-known/openid-configuration") return sendValue(context, issuerDocument(parts));
  if (path === "/") return sendValue(context, { paths: rootPaths });
  // A path below a known API group gets a Status as the body of its 404. Other paths get plain text.
  const [root, group = ""] = path.split("/").slice(1);
  if (root === "api" || (root === "apis" && parts.registry.resources().some((type) => type.group === group)))
    throw unknownPath();
  throw new NotServed();
}

const rootPaths = [
  "/api",
  "/api/v1",
  "/apis",
  "/healthz",
  "/livez",
  "/metrics",
  "/openapi/v2",
  "/openapi/v3",
  "/openid/v1/jwks",
  "/readyz",
  "/version",
];

function versionDocument(): object {
  return {
    ...versionInfo,
    gitCommit: "",
    gitTreeState: "clean",
    buildDate: "2026-06-01T00:00:00Z",
    goVersion: "",
    compiler: "node",
    platform: `linux/${process.arch === "x64" ? "amd64" : process.arch}`,
  };
}

function issuerDocument(parts: ServerParts): object {
  return {
    issuer: parts.tokens.issuer,
    jwks_uri: `${parts.tokens.issuer}/openid/v1/jwks`,
    response_types_supported: ["id_token"],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: ["ES256"],
  };
}

function sendHealth(parts: ServerParts, context: PathContext, probe: string, query: URLSearchParams): void {
  const ending = parts.stopping.aborted && probe === "readyz";
  const text = query.has("verbose")
    ? `[+]ping ok\n[${ending ? "-" : "+"}]shutdown ${ending ? "failed" : "ok"}\n${probe} check ${ending ? "failed" : "passed"}\n`
    : ending
      ? "shutting down"
      : "ok";
  send(context, ending ? 500 : 200, Buffer.from(text), "text/plain; charset=utf-8");
}

const openApiV3 = "/openapi/v3";
/** How long clients may cache an immutable document: one year, as with kube-apiserver. */
const immutableForMs = 365 * 86_400_000;

function answerOpenApi(parts: ServerParts, context: PathContext): void {
  const { path, query, request } = context;
  const { registry } = parts;
  if (path === "/openapi/v2") {
    const accept = request.headers.accept ?? "";
    const protobuf = accept.includes("proto-openapi.spec.v2") && accept.includes("protobuf");
    const document = registry.openApiV2(protobuf);
    return sendTagged(context, document.body, document.contentType, `"${document.hash}"`);
  }
  if (path === openApiV3 || path === `${openApiV3}/`) {
    const paths: Record<string, { serverRelativeURL: string }> = {};
    for (const entry of registry.openApiV3Paths())
      paths[entry.path] = { serverRelativeURL: `${openApiV3}/${entry.path}?hash=${encodeURIComponent(entry.hash)}` };
    return sendValue(context, { paths });
  }
  const document = path.startsWith(`${openApiV3}/`) ? registry.openApiV3(path.slice(openApiV3.length + 1)) : undefined;
  if (document === undefined) throw unknownPath();
  // The content of this URL never changes. With `Expires`, kubectl's cache serves it without a request.
  const immutable: Record<string, string> =
    query.get("hash") === document.hash
      ? {
          "cache-control": "public, immutable",
          expires: new Date(parts.clock.nowMs() + immutableForMs).toUTCString(),
        }
      : {};
  sendTagged(context, document.body, document.contentType, `"${document.hash}"`, immutable);
}

function sendTagged(
  context: PathContext,
  body: Uint8Array,
  contentType: string,
  etag: string | undefined,
  headers: Record<string, string> = {},
): void {
  if (etag === undefined) return send(context, 200, body, contentType, headers);
  if (context.request.headers["if-none-match"] === etag) {
    context.response.writeHead(304, { etag, vary: "Accept", ...headers });
    context.response.end();
    return;
  }
  send(context, 200, body, contentType, { etag, vary: "Accept", ...headers });
}

function sendValue(context: PathContext, value: unknown, contentType = "application/json"): void {
  send(context, 200, Buffer.from(JSON.stringify(value)), contentType);
}

function send(
  { response }: PathContext,
  status: number,
  body: Uint8Array,
  contentType: string,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, {
    "content-type": contentType,
    "content-length": body.length,
    "cache-control": "no-cache, private",
    ...headers,
  });
  response.end(body);
}
