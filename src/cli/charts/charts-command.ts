import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Command } from "commander";
import { defaultHub, hubFault } from "../../api/images/index.ts";
import { aborted, mergeTrees, messageOf, nearestName, nodeHttp, userError } from "../../base/index.ts";
import { chartNames, renderChartNamed, renderCharts, type Chart, type ChartOptions } from "../../install/index.ts";
import type { CliContext } from "../context.ts";
import { collect } from "../flags.ts";
import { readYaml } from "../installation/install-input.ts";
import { renderChart } from "./render-chart.ts";
import { makeUserDirectory, writeUserFile } from "../user-file.ts";
import { repositoryOf } from "./repository.ts";
import { applyHelmSet } from "./value-flags.ts";

const loopback = "127.0.0.1";
const defaultPort = "8879";

export function chartCommands(program: Command, context: CliContext): void {
  const charts = program
    .command("charts")
    .description(
      "serve, package or render this release's Helm charts: base, istiod, cni, ztunnel, gateway, istio-operator",
    );
  charts
    .command("serve")
    .description("serve a chart repository for helm on this machine's loopback until interrupted")
    .option("--port <port>", "the port; 0 chooses a free port", defaultPort)
    .option("--hub <hub>", "the hub of the charts' images", hubFlag, defaultHub)
    .action(async (flags: { readonly port: string; readonly hub: string }) => await serve(flags, context));
  charts
    .command("package <directory>")
    .description("write the chart repository's files into a directory")
    .option("--hub <hub>", "the hub of the charts' images", hubFlag, defaultHub)
    .action(async (directory: string, flags: { readonly hub: string }) => {
      const files = await repository(flags.hub, context);
      makeUserDirectory(directory, "name another directory");
      for (const [name, content] of files) {
        await writeUserFile(join(directory, name), content);
        context.out(`${join(directory, name)}\n`);
      }
    });
  charts
    .command("template <release> <chart>")
    .description("print the objects that helm would apply for a chart of this release, for kubectl apply -f -")
    .option("-n, --namespace <namespace>", "the namespace of the release, which must exist", "default")
    .option(
      "-f, --values <file>",
      "a file of values; repeat the flag for several files, of which later ones override earlier ones",
      collect,
      [],
    )
    .option("--set <path=value>", "set values in helm's notation; may be repeated", collect, [])
    .option("--set-string <path=value>", "set values that stay strings; may be repeated", collect, [])
    .option("--skip-crds", "leave out the CustomResourceDefinitions")
    .option("--hub <hub>", "the hub of the charts' images", hubFlag, defaultHub)
    .action(
      async (release: string, chart: string, flags: TemplateFlags) => await template(release, chart, flags, context),
    );
}

function hubFlag(text: string): string {
  const fault = hubFault(text);
  if (fault !== undefined) throw userError("argument-invalid", fault);
  return text;
}

interface TemplateFlags {
  readonly namespace: string;
  readonly values: readonly string[];
  readonly set: readonly string[];
  readonly setString: readonly string[];
  readonly skipCrds?: boolean;
  readonly hub: string;
}

async function template(release: string, wanted: string, flags: TemplateFlags, context: CliContext): Promise<void> {
  if (!/^[a-z0-9]([-a-z0-9.]{0,51}[a-z0-9])?$/.test(release))
    throw userError(
      "release-invalid",
      `a release name has at most 53 lower-case letters, digits, dashes and dots, got "${release}"`,
    );
  // As in helm, the name of a repository and a slash may precede the chart's name.
  const chart = chartNamed(wanted.slice(wanted.lastIndexOf("/") + 1), await chartOptions(flags.hub, context));
  let values: unknown = {};
  for (const file of flags.values) {
    for (const document of await readYaml(file, context)) {
      // A null stays, because it removes a default of the chart when the chart is rendered.
      values = mergeTrees(values, document, { nulls: "keep", lists: "replace" });
    }
  }
  for (const text of flags.set) values = applyHelmSet(values, text, "--set");
  for (const text of flags.setString) values = applyHelmSet(values, text, "--set-string");
  context.out(
    renderChart(chart, {
      name: release,
      namespace: flags.namespace,
      values: values as Readonly<Record<string, unknown>>,
      skipDefinitions: flags.skipCrds === true,
    }),
  );
}

function chartNamed(name: string, options: ChartOptions): Chart {
  const chart = renderChartNamed(name, options);
  if (chart !== undefined) return chart;
  const near = nearestName(name, chartNames);
  throw userError(
    "argument-invalid",
    `there is no chart "${name}"${near === undefined ? "" : `; did you mean "${near}"?`}`,
    { hint: `the charts are ${chartNames.join(", ")}` },
  );
}

async function repository(hub: string, context: CliContext): Promise<Map<string, Buffer>> {
  return repositoryOf(renderCharts(await chartOptions(hub, context)), new Date(createdMs(context)).toISOString());
}

async function chartOptions(hub: string, { version, customResources }: CliContext): Promise<ChartOptions> {
  const definitions = {
    istio: await customResources("istio"),
    rollout: await customResources("rollout"),
    banzai: await customResources("banzai"),
  };
  return { hub, version, customResources: definitions };
}

/**
 * The creation time in the repository's index. Reproducible builds set SOURCE_DATE_EPOCH, in seconds
 * (reproducible-builds.org).
 */
function createdMs({ env, clock }: CliContext): number {
  const given = env["SOURCE_DATE_EPOCH"];
  if (given === undefined) return clock.nowMs();
  if (!/^\d{1,12}$/.test(given))
    throw userError("env-invalid", `SOURCE_DATE_EPOCH must be a number of seconds since 1970, got "${given}"`);
  return Number(given) * 1000;
}

async function serve(
  { port, hub }: { readonly port: string; readonly hub: string },
  context: CliContext,
): Promise<void> {
  const number = Number(port);
  if (!Number.isInteger(number) || number < 0 || number > 65_535)
    throw userError("argument-invalid", `--port must be from 0 to 65535, got "${port}"`);
  const files = await repository(hub, context);
  const server = nodeHttp().createServer((request, response) => {
    // A client may send any text as the request's target. `new URL` throws for some texts.
    const [name = ""] = (request.url ?? "/").slice(1).split("?");
    const content = files.get(name);
    if (content === undefined)
      response
        .writeHead(404, { "content-type": "text/plain" })
        .end(`there is no file ${name}; the repository has ${[...files.keys()].join(", ")}\n`);
    else
      response
        .writeHead(200, {
          "content-type": name.endsWith(".tgz") ? "application/gzip" : "application/yaml",
          "content-length": content.length,
        })
        .end(request.method === "HEAD" ? undefined : content);
  });
  server.listen(number, loopback);
  try {
    await once(server, "listening");
  } catch (cause) {
    throw userError("address-in-use", `cannot listen on port ${port}: ${messageOf(cause)}`, {
      cause,
      hint: "choose another port: serin charts serve --port 0",
    });
  }
  const url = `http://${loopback}:${(server.address() as AddressInfo).port}`;
  context.out(
    `Charts at ${url}\n  helm repo add istio ${url}\n  helm repo add banzaicloud-stable ${url}\nInterrupt (Ctrl-C) to end.\n`,
  );
  await aborted(context.signal);
  server.close();
  server.closeAllConnections();
}
