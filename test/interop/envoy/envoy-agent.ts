// Replaces `serin proxy` in an image `proxyv2`: the same environment and arguments, with a stock Envoy as the proxy.
//   node test/interop/envoy/envoy-agent.ts proxy router|sidecar|waypoint …
// ENVOY_BINARY names the Envoy. The default is `.cache/interop/envoy` in this tree.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger, shutdownOnSignals, aborted } from "../../../src/base/index.ts";
import {
  CertificateManager,
  formatIdentity,
  IstioCertificateClient,
  listenHttp,
  type EndpointAnswer,
  type EndpointRoute,
} from "../../../src/dataplane/index.ts";
import { appProbeRoutes } from "../../../src/proxy/agent/app-prober.ts";
import { readSettings, redirectMark, type ProxySettings } from "../../../src/proxy/index.ts";
import { envoyBootstrap } from "./envoy-bootstrap.ts";
import { serveSecrets } from "./secret-service.ts";

const root = join(import.meta.dirname, "../../..");
const sidecarId = 1337;
/** Commands of other programs in the image that pods call. */
const otherCommands = ["istio-iptables", "wait", "request"];

function readOptional(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function certificatesOf(settings: ProxySettings, log: ReturnType<typeof createLogger>): CertificateManager {
  const authority = new IstioCertificateClient({
    endpoint: {
      url: settings.caUrl,
      ...(settings.caRootFile === undefined ? {} : { rootCertificateFile: settings.caRootFile }),
      tokenFile: settings.tokenFile,
      headers: { clusterid: settings.clusterId },
    },
    impersonate: false,
  });
  return new CertificateManager({ authority, log, validitySeconds: settings.secretTtlSeconds });
}

async function askAdmin(port: number, method: "GET" | "POST", path: string): Promise<EndpointAnswer> {
  return await new Promise((resolve) => {
    const outgoing = request({ host: "127.0.0.1", port, method, path }, (answer) => {
      let body = "";
      answer.setEncoding("utf8").on("data", (part: string) => (body += part));
      answer.on("end", () => resolve({ status: answer.statusCode ?? 500, body }));
    });
    outgoing.on("error", (error) => resolve({ status: 503, body: `${error.message}\n` }));
    outgoing.end();
  });
}

async function run(args: readonly string[]): Promise<number> {
  const log = createLogger({ scope: "envoy-agent" });
  const shutdown = shutdownOnSignals();
  const version =
    process.env["SERIN_RELEASE"] ??
    (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string }).version;
  const settings = readSettings({
    env: process.env,
    args,
    version,
    labelsFile: readOptional("/etc/istio/pod/labels"),
    annotationsFile: readOptional("/etc/istio/pod/annotations"),
  });
  const { admin, stats, envoyStats, readiness } = settings.ports;
  const scratch = mkdtempSync(join(tmpdir(), "envoy-"));
  const secretSocket = join(scratch, "sds");
  const certificates = certificatesOf(settings, log);
  const identity = formatIdentity({
    trustDomain: settings.trustDomain,
    namespace: settings.podNamespace,
    serviceAccount: settings.serviceAccount,
  });
  const stopSecrets = await serveSecrets(secretSocket, { certificates, identity });
  // Connections of the user or the group 1337 are not redirected. Any other process must mark its connections. In mode
  // TPROXY, Envoy runs as root in that group, and a mark would replace that of the filter original_src.
  const marks = settings.role === "sidecar" && process.getuid?.() !== sidecarId && process.getgid?.() !== sidecarId;
  const bootstrap = join(scratch, "bootstrap.json");
  writeFileSync(
    bootstrap,
    JSON.stringify(
      envoyBootstrap({
        settings,
        secretSocket,
        token: readFileSync(settings.tokenFile, "utf8").trim(),
        mark: marks ? redirectMark(settings) : undefined,
      }),
    ),
  );
  const envoy = spawn(
    process.env["ENVOY_BINARY"] ?? join(root, ".cache/interop/envoy"),
    [
      "-c",
      bootstrap,
      "--concurrency",
      "1",
      "--log-level",
      process.env["ENVOY_LOG_LEVEL"] ?? "warning",
      "--drain-time-s",
      "5",
      "--use-dynamic-base-id",
    ],
    { stdio: ["ignore", "inherit", "inherit"] },
  );
  const ended = new Promise<number>((resolve) => {
    envoy.on("error", (error) => resolve((log.error("Envoy does not start", { error: error.message }), 1)));
    envoy.on("exit", (code) => resolve(code ?? 1));
  });
  const ready: EndpointRoute = async () =>
    shutdown.drain.aborted ? { status: 503, body: "draining\n" } : await askAdmin(admin, "GET", "/ready");
  const metrics: EndpointRoute = async () => await askAdmin(admin, "GET", "/stats/prometheus");
  const endpoints = await Promise.all([
    listenHttp({
      address: "0.0.0.0",
      port: stats,
      routes: {
        ...appProbeRoutes(settings.appProbers, settings.instanceIp),
        "/healthz/ready": ready,
        "/stats/prometheus": metrics,
        "/drain": async () => await askAdmin(admin, "POST", "/drain_listeners?inboundonly&graceful"),
      },
    }),
    listenHttp({ address: "0.0.0.0", port: envoyStats, routes: { "/stats/prometheus": metrics } }),
    listenHttp({ address: "0.0.0.0", port: readiness, routes: { "/healthz/ready": ready } }),
  ]);
  const code = await Promise.race([
    ended,
    aborted(shutdown.drain).then(async () => await drain(settings, envoy, ended)),
  ]);
  await Promise.all(endpoints.map((endpoint) => endpoint.close()));
  stopSecrets();
  certificates.close();
  rmSync(scratch, { recursive: true, force: true });
  return code;
}

async function drain(
  settings: ProxySettings,
  envoy: ReturnType<typeof spawn>,
  ended: Promise<number>,
): Promise<number> {
  await askAdmin(settings.ports.admin, "POST", "/drain_listeners?graceful&skip_exit");
  await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, settings.drainMs))]);
  envoy.kill("SIGTERM");
  await ended;
  return 0;
}

const words = process.argv.slice(2).filter((word) => word !== "proxy");
if (otherCommands.includes(words[0] ?? ""))
  process.exitCode = spawnSync(join(root, "bin/serin"), ["proxy", ...words], { stdio: "inherit" }).status ?? 1;
else process.exitCode = await run(words);
