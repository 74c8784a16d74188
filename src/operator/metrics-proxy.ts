import type { IncomingMessage, ServerResponse } from "node:http";
import { messageOf, nodeHttp, type Logger } from "../base/index.ts";
import { requireFinalResponse } from "../base/joined-bytes/index.ts";
import type { KubeClient } from "../kube/index.ts";

export interface MetricsProxyOptions {
  readonly client: KubeClient;
  /** The URL of the server behind this proxy, such as `http://127.0.0.1:8080/`. Its path is ignored. */
  readonly upstream: URL;
  readonly log: Logger;
}

interface Review {
  readonly status?: {
    readonly authenticated?: boolean;
    readonly allowed?: boolean;
    readonly user?: { readonly username?: string; readonly groups?: readonly string[] };
  };
}

/**
 * Forwards a request if its bearer token is valid and the API server allows the token's user this method on this path,
 * like kube-rbac-proxy.
 */
export async function proxyMetrics(
  options: MetricsProxyOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const refusal = await refusalOf(options, request).catch((error: unknown) => {
    options.log.warn("a request could not be checked", { error: messageOf(error) });
    return { status: 503, text: "the API server did not decide whether you may read this\n" };
  });
  if (refusal !== undefined) {
    response.writeHead(refusal.status, { "content-type": "text/plain" }).end(refusal.text);
    return;
  }
  const { upstream } = options;
  const outgoing = nodeHttp().request(
    {
      host: upstream.hostname,
      port: upstream.port,
      method: request.method,
      path: request.url,
      headers: { accept: request.headers.accept ?? "*/*" },
    },
    (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    },
  );
  requireFinalResponse(outgoing).on("error", (error) => {
    if (response.headersSent) response.destroy();
    else response.writeHead(502).end(`${messageOf(error)}\n`);
  });
  // Do not forward the client's body: Node.js sends the body of a GET without a length, so the server would read the
  // body as a second request.
  outgoing.end();
}

async function refusalOf(
  { client }: MetricsProxyOptions,
  request: IncomingMessage,
): Promise<{ status: number; text: string } | undefined> {
  const token = /^Bearer (.+)$/i.exec(request.headers.authorization ?? "")?.[1];
  if (token === undefined) return { status: 401, text: "Unauthorized\n" };
  const who = await review(client, "authentication.k8s.io/v1/tokenreviews", "TokenReview", { token });
  if (who.status?.authenticated !== true) return { status: 401, text: "Unauthorized\n" };
  const { username = "", groups = [] } = who.status.user ?? {};
  const [path = "/"] = (request.url ?? "/").split("?");
  const nonResourceAttributes = { path, verb: (request.method ?? "GET").toLowerCase() };
  const may = await review(client, "authorization.k8s.io/v1/subjectaccessreviews", "SubjectAccessReview", {
    user: username,
    groups,
    nonResourceAttributes,
  });
  return may.status?.allowed === true
    ? undefined
    : {
        status: 403,
        text: `Forbidden (user=${username}, verb=${nonResourceAttributes.verb}, path=${nonResourceAttributes.path})\n`,
      };
}

async function review(client: KubeClient, path: string, kind: string, spec: unknown): Promise<Review> {
  const apiVersion = path.split("/").slice(0, 2).join("/");
  const { status, text } = await client.raw("POST", `/apis/${path}`, { body: { apiVersion, kind, spec } });
  if (status >= 300) throw new Error(`${kind}: HTTP status ${status}`);
  return JSON.parse(text) as Review;
}
