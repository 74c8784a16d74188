import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { systemClock, systemRandom, userError } from "../base/index.ts";
import { addBootstrap, addControllers, ControllerContext, definitionFiles } from "../cluster/controllers/index.ts";
import { addClusterDns } from "../cluster/dns/index.ts";
import { addScheduler } from "../cluster/scheduler/index.ts";
import { createKubeClient, loadKubeConfig } from "../kube/index.ts";
import type { RoleContext } from "./role.ts";

const dnsServiceIP = "10.96.0.10";
const usage =
  "serin cluster-controllers --kubeconfig FILE --dns-listen ADDRESS:PORT [--dns-upstream ADDRESS:PORT] [--manifests DIRECTORY] [--autoscale] [--signing-authority FILES]";

/** `serin cluster-controllers`: controllers, scheduler, LoadBalancer addresses and DNS of a lab cluster. */
export async function run({ args, log, shutdown, release }: RoleContext): Promise<number> {
  const options = readOptions(args);
  const config = await loadKubeConfig(options.kubeconfig);
  if (config.ca === undefined)
    throw userError("kubeconfig-invalid", `the kubeconfig ${options.kubeconfig} has no certificate authority`, {
      hint: "the controllers publish the cluster's root certificate from it",
    });
  const clock = systemClock;
  const client = createKubeClient(config, { log, clock, userAgent: "kube-controller-manager" });
  const metadataClient = createKubeClient(config, {
    log,
    clock,
    userAgent: "kube-controller-manager",
    metadataOnly: true,
  });
  const context = new ControllerContext({ client, log, clock, random: systemRandom });
  const bootstrapped = addBootstrap(context, {
    definitions: definitionFiles(options.manifests ?? join(release.root, "manifests")),
    dns: options.dns,
    dnsServiceIP,
  });
  addScheduler(context);
  addControllers(context, {
    bootstrapped,
    rootCa: config.ca,
    metadataClient,
    autoscalers: { followsMetrics: options.autoscale },
    ...(options.signingAuthority === undefined ? {} : { signing: authorityIn(options.signingAuthority) }),
  });
  addClusterDns(context, { ...options.dns, ...(options.upstream === undefined ? {} : { upstream: options.upstream }) });
  void bootstrapped.then(() => process.send?.({ ready: true }));
  void context.allSynced().then(() => log.info("controllers are running", { server: config.server }));
  await context.run(shutdown.drain);
  client.close();
  metadataClient.close();
  return 0;
}

/** Reads the authority's files for each certificate, so that the key does not stay in memory. */
function authorityIn(files: string): () => { certificate: string; key: string } {
  return () => ({ certificate: readFileSync(`${files}.crt`, "utf8"), key: readFileSync(`${files}.key`, "utf8") });
}

interface Options {
  readonly kubeconfig: string;
  readonly dns: Endpoint;
  readonly upstream: Endpoint | undefined;
  readonly manifests: string | undefined;
  /** Whether autoscalers scale by the pods' resource use. */
  readonly autoscale: boolean;
  /** The path of the authority for certificate requests, without `.crt` and `.key`. */
  readonly signingAuthority: string | undefined;
}

interface Endpoint {
  readonly address: string;
  readonly port: number;
}

function readOptions(args: readonly string[]): Options {
  const string = { type: "string" } as const;
  let values: {
    kubeconfig?: string;
    "dns-listen"?: string;
    "dns-upstream"?: string;
    manifests?: string;
    autoscale?: boolean;
    "signing-authority"?: string;
  };
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        kubeconfig: string,
        "dns-listen": string,
        "dns-upstream": string,
        manifests: string,
        autoscale: { type: "boolean" },
        "signing-authority": string,
      },
    }));
  } catch (error) {
    throw userError("usage", (error as Error).message, { hint: usage });
  }
  const { kubeconfig, manifests, autoscale = false } = values;
  if (kubeconfig === undefined) throw userError("usage", "--kubeconfig is missing", { hint: usage });
  const dns = parseEndpoint("--dns-listen", values["dns-listen"]);
  if (dns === undefined) throw userError("usage", "--dns-listen is missing", { hint: usage });
  return {
    kubeconfig,
    dns,
    upstream: parseEndpoint("--dns-upstream", values["dns-upstream"]),
    manifests,
    autoscale,
    signingAuthority: values["signing-authority"],
  };
}

function parseEndpoint(option: string, text: string | undefined): Endpoint | undefined {
  if (text === undefined) return undefined;
  const parts = /^\[?([^\]]+)\]?:(\d+)$/.exec(text);
  if (parts?.[1] === undefined || Number(parts[2]) > 65_535)
    throw userError("usage", `${option} must be address:port, got "${text}"`, { hint: usage });
  return { address: parts[1], port: Number(parts[2]) };
}
