import { readFileSync } from "node:fs";
import { userError } from "../base/index.ts";
import { ApiServer, type ListenTarget } from "../cluster/apiserver/index.ts";
import { createSchemaRegistry } from "../cluster/schema/index.ts";
import type { RoleContext } from "./role.ts";

/**
 * The configuration file, JSON; paths are absolute or relative to the working directory.
 * `ready`: printed on standard output as `ready <host>:<port> …` once requests are answered.
 */
interface Configuration {
  readonly stateDirectory: string;
  readonly listen: readonly ListenTarget[];
  readonly caCertificate: string;
  readonly serverCertificate: string;
  readonly serverKey: string;
  readonly serviceAccountKey: string;
  readonly nodeClientCertificate: string;
  readonly nodeClientKey: string;
  readonly serviceCidr: string;
  readonly advertise: { readonly address: string; readonly port?: number };
}

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
  if (file === undefined) throw userError("config-missing", "no configuration file is given", { hint: "serin cluster-apiserver <config.json>" });
  const configuration = readConfiguration(file);
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
    registry: createSchemaRegistry(),
    log: context.log,
  });
  await server.run(context.shutdown, (addresses) => {
    process.stdout.write(`ready ${addresses.map(({ host, port }) => `${host}:${port}`).join(" ")}\n`);
  });
  return 0;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw userError("file-unreadable", `cannot read ${path}`, { hint: "check the path in the configuration and the file's rights", cause: error });
  }
}

function readConfiguration(file: string): Configuration {
  const text = readText(file);
  let value: Configuration;
  try {
    value = JSON.parse(text) as Configuration;
  } catch (error) {
    throw userError("config-invalid", `${file} is not JSON`, { cause: error, hint: "mend the file's syntax" });
  }
  const wrong = (field: string, expected: string): Error => userError("config-invalid", `${file}: ${field} must be ${expected}`, { hint: `set ${field}` });
  for (const field of textFields) if (typeof value[field] !== "string" || value[field] === "") throw wrong(field, "a text that is not empty");
  if (!Array.isArray(value.listen) || value.listen.length === 0) throw wrong("listen", 'a list of {"host","port"} or {"fd"}');
  for (const target of value.listen) {
    const valid = "fd" in target ? Number.isInteger(target.fd) : typeof target.host === "string" && Number.isInteger(target.port);
    if (!valid) throw wrong("listen", 'a list of {"host","port"} or {"fd"}');
  }
  if (typeof value.advertise?.address !== "string") throw wrong("advertise.address", "the address by which pods reach the server");
  return value;
}
