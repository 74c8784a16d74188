import { readFileSync } from "node:fs";
import { ShutdownController, userError, onAbort, type Shutdown } from "../base/index.ts";
import { ApiServer, type ApiServerOptions } from "../cluster/apiserver/index.ts";
import { createSchemaRegistry } from "../cluster/schema/index.ts";
import type { RoleContext } from "./role.ts";

/**
 * The configuration file, in JSON. Its fields are the server's options. In place of PEM texts it has paths of files,
 * absolute or relative to the working directory. When the server answers requests, the process prints `ready
 * <host>:<port> …` and sends `{"ready":true}` to its parent.
 */
type Configuration = Omit<ApiServerOptions, "registry" | "log" | "clock" | "random">;

const warmUpDelayMs = 500;

const textFields = [
  "stateDirectory",
  "caCertificate",
  "serverCertificate",
  "serverKey",
  "serviceAccountKey",
  "nodeClientCertificate",
  "nodeClientKey",
  "serviceCidr",
] as const;

/** `serin cluster-apiserver <config.json>` */
export async function run(context: RoleContext): Promise<number> {
  const [file] = context.args;
  if (file === undefined)
    throw userError("config-missing", "no configuration file is given", {
      hint: "serin cluster-apiserver <config.json>",
    });
  const configuration = readConfiguration(file);
  const registry = createSchemaRegistry();
  const pem = (path: string): string => readText(path);
  const server = new ApiServer({
    stateDirectory: configuration.stateDirectory,
    listen: configuration.listen,
    caCertificate: pem(configuration.caCertificate),
    serverCertificate: pem(configuration.serverCertificate),
    serverKey: pem(configuration.serverKey),
    serviceAccountKey: pem(configuration.serviceAccountKey),
    nodeClientCertificate: pem(configuration.nodeClientCertificate),
    nodeClientKey: pem(configuration.nodeClientKey),
    serviceCidr: configuration.serviceCidr,
    advertise: configuration.advertise,
    eventTtlMs: configuration.eventTtlMs,
    registry,
    log: context.log,
  });
  await server.run(endedByParent(context.shutdown), (addresses) => {
    process.stdout.write(`ready ${addresses.map(({ host, port }) => `${host}:${port}`).join(" ")}\n`);
    process.send?.({ ready: true });
    // Start the rule engine now. Otherwise the first custom resource with rules would wait until it has started.
    setTimeout(() => registry.warmUp(), warmUpDelayMs).unref();
  });
  return 0;
}

/**
 * A shutdown that also begins when the channel to the supervisor closes, because the server runs only for the
 * supervisor.
 */
function endedByParent(shutdown: Shutdown): Shutdown {
  if (process.send === undefined) return shutdown;
  const controller = new ShutdownController();
  for (const signal of [shutdown.drain, shutdown.force])
    onAbort(signal, () => controller.request("received a signal to end"));
  process.once("disconnect", () => {
    controller.request("the supervisor has ended");
    controller.request("the supervisor has ended");
  });
  return controller;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw userError("file-unreadable", `cannot read ${path}`, {
      hint: "check the path in the configuration and the file's rights",
      cause: error,
    });
  }
}

function readConfiguration(file: string): Configuration {
  const text = readText(file);
  let value: Configuration;
  try {
    value = JSON.parse(text) as Configuration;
  } catch (error) {
    throw userError("file-invalid", `${file} is not JSON`, { cause: error, hint: "fix the file's syntax" });
  }
  const wrong = (field: string, expected: string): Error =>
    userError("file-invalid", `${file}: ${field} must be ${expected}`, { hint: `set ${field}` });
  for (const field of textFields)
    if (typeof value[field] !== "string" || value[field] === "") throw wrong(field, "a non-empty text");
  if (!Array.isArray(value.listen) || value.listen.length === 0)
    throw wrong("listen", 'a list of {"host","port"} or {"fd"}');
  for (const target of value.listen) {
    const valid =
      "fd" in target ? Number.isInteger(target.fd) : typeof target.host === "string" && Number.isInteger(target.port);
    if (!valid) throw wrong("listen", 'a list of {"host","port"} or {"fd"}');
  }
  if (typeof value.advertise?.address !== "string")
    throw wrong("advertise.address", "the address by which pods reach the server");
  if (value.eventTtlMs !== undefined && !(value.eventTtlMs > 0)) throw wrong("eventTtlMs", "a number above 0");
  return value;
}
