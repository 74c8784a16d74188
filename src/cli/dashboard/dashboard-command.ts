import type { Command } from "commander";
import { aborted, joinHostPort, messageOf, transientError, userError, withoutEnd } from "../../base/index.ts";
import { istioLabels } from "../../api/istio/index.ts";
import { podKind, type Pod } from "../../api/kubernetes/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";
import type { CliContext } from "../context.ts";
import { istioNamespaceOf, namespaceOf, portFlag, type CommonFlags } from "../flags.ts";
import { findPods, findPodsByLabel, isRunning } from "../proxies/pods.ts";
import { fittedTable } from "../terminal/fitted-table.ts";
import { knownDashboards, type KnownDashboard } from "./known-dashboards.ts";
import { LocalForward } from "./local-forward.ts";

interface PageFlags extends DashboardFlags {
  readonly local?: boolean;
  readonly prometheusUrl?: string;
}

interface DashboardFlags extends CommonFlags {
  readonly port?: number;
  readonly address: string;
  readonly browser: boolean;
  readonly uiPort?: number;
  readonly ctrlz_port?: number;
  readonly selector?: string;
  readonly revision?: string;
}

interface PodPage {
  readonly pod: Pod;
  readonly port: number;
  readonly path: string;
}

const proxyAdminPort = 15_000;
const controlZPort = 9876;
const pilotPort = 8080;
const answerWithinMs = 3_000;

/**
 * `dashboard` opens the mesh's page, which the dashboard's pod or this process serves. `dashboard …` forwards a local
 * port to a page of a pod until the user ends the command.
 */
export function dashboardCommands(program: Command, context: CliContext): void {
  const parent = forwardFlags(
    program
      .command("dashboard")
      .aliases(["dash", "d"])
      .description(
        "open the mesh's dashboard in a browser, until interrupted: from its pod if one runs, else from this machine with your kubeconfig; the verbs open the pages of other pods",
      ),
  )
    .option("--local", "serve the dashboard from this machine, even if a pod serves it")
    .option(
      "--prometheus-url <url>",
      "read metrics from this Prometheus instead of from the proxies, when this machine serves the dashboard",
      prometheusUrl,
    )
    .action(async (flags: PageFlags) => await showPage(flags, context));
  for (const dashboard of knownDashboards) {
    forwardFlags(parent.command(dashboard.name).description(dashboard.summary), dashboard.port).action(
      async (flags: DashboardFlags) => {
        const pod = await podOf(dashboard, flags, context);
        await show({ pod, port: flags.uiPort ?? dashboard.port, path: dashboard.path }, flags, context);
      },
    );
  }
  for (const [name, summary] of [
    ["proxy", "open the admin page of a sidecar, gateway, waypoint or ztunnel"],
    ["envoy", "the older name of dashboard proxy"],
  ] as const) {
    selectorFlag(forwardFlags(parent.command(`${name} [pod]`).description(summary), proxyAdminPort)).action(
      async (pod: string | undefined, flags: DashboardFlags) => {
        await show(
          { pod: await namedPod(pod, flags, context), port: flags.uiPort ?? proxyAdminPort, path: "" },
          flags,
          context,
        );
      },
    );
  }
  pilotFlags(
    forwardFlags(
      parent
        .command("istiod-debug [pod]")
        .description("open the debug pages of a control plane; without a name, of the first control plane"),
    ),
  ).action(async (pod: string | undefined, flags: DashboardFlags) => {
    await show({ pod: await pilotPod(pod, flags, context), port: pilotPort, path: "/debug" }, flags, context);
  });
  pilotFlags(
    forwardFlags(
      parent
        .command("controlz [pod]")
        .description("open the log levels of a control plane; without a name, of the first control plane"),
    ),
  )
    .option("--ctrlz_port <port>", "the pod's port", portFlag, controlZPort)
    .action(async (pod: string | undefined, flags: DashboardFlags) => {
      await show(
        { pod: await pilotPod(pod, flags, context), port: flags.ctrlz_port ?? controlZPort, path: "/scopej/" },
        flags,
        context,
      );
    });
  parent
    .command("list")
    .description("list the pages, and whether they are installed")
    .action(async (flags: CommonFlags) => await list(flags, context));
}

function prometheusUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol))
    throw userError("argument-invalid", `expected http://… or https://…, got "${text}"`);
  return withoutEnd(text, "/");
}

/** Kiali's port. */
const pagePort = 20_001;

async function showPage(flags: PageFlags, context: CliContext): Promise<void> {
  const dashboard = knownDashboards.find(({ name }) => name === "kiali");
  if (flags.local !== true && flags.prometheusUrl === undefined && dashboard !== undefined) {
    const pod = await servingPod(dashboard, flags, context);
    if (pod !== undefined && isRunning(pod)) {
      await show({ pod, port: dashboard.port, path: dashboard.path }, flags, context);
      return;
    }
  }
  await context.serveDashboard(flags, {
    istioNamespace: istioNamespaceOf(flags),
    host: flags.address,
    ports: flags.port === undefined || flags.port === 0 ? [pagePort, 0] : [flags.port],
    prometheusUrl: flags.prometheusUrl,
    announce: (url, isFirst) => void announce(url, isFirst, flags, context),
  });
}

/**
 * Finds the dashboard's pod. Undefined if there is none, or if the user may not list pods. Such a user could not
 * forward ports either.
 */
async function servingPod(dashboard: KnownDashboard, flags: PageFlags, context: CliContext): Promise<Pod | undefined> {
  const client = await context.connect(flags);
  for (const namespace of await namespacesOf(flags, context)) {
    try {
      const [pod] = await findDashboard(dashboard, client, [namespace]);
      if (pod !== undefined) return pod;
    } catch (error) {
      if (!isKubeCode(error, "forbidden")) throw error;
    }
  }
  return undefined;
}

/**
 * Opens or prints the first address. An address admits one browser, so each later one is printed for another browser.
 */
async function announce(url: string, isFirst: boolean, flags: DashboardFlags, context: CliContext): Promise<void> {
  if (!isFirst) {
    context.out(`open this address in another browser: ${url}\n`);
    return;
  }
  context.out(`${url}\n`);
  if (!flags.browser) context.out("skipping opening a browser\n");
  else if (!(await context.openBrowser(url)))
    context.out(
      `No browser could be opened. Open the address in your browser; it works in one browser only. Interrupt (Ctrl-C) to end.\n`,
    );
}

function forwardFlags(command: Command, uiPort?: number): Command {
  command
    .option("-p, --port <port>", "the local port (default: the pod's port, or a free port)", portFlag)
    .option(
      "--address <address>",
      "the local address to listen on; localhost means both loopback addresses",
      "localhost",
    )
    .option("--browser", "open a browser", true)
    .option("--no-browser", "print the address, and open no browser");
  return uiPort === undefined
    ? command
    : command.option("--ui-port <port>", `the pod's port (default: ${uiPort})`, portFlag);
}

function selectorFlag(command: Command): Command {
  return command.option("-l, --selector <selector>", "select the first pod with these labels, instead of naming a pod");
}

function pilotFlags(command: Command): Command {
  return selectorFlag(command).option("-r, --revision <revision>", "the control plane of this revision");
}

/** The namespaces in which to look for add-ons: the control plane's first, then the user's. */
async function namespacesOf(flags: CommonFlags, context: CliContext): Promise<string[]> {
  return [...new Set([istioNamespaceOf(flags), await namespaceOf(flags, context)])];
}

async function findDashboard(
  { selectors }: KnownDashboard,
  client: KubeClient,
  namespaces: readonly string[],
): Promise<readonly Pod[]> {
  for (const namespace of namespaces) {
    for (const labelSelector of selectors) {
      const { items } = await client.list(podKind, { namespace, labelSelector });
      if (items.length > 0)
        return items.toSorted(
          (a, b) =>
            Number(isRunning(b)) - Number(isRunning(a)) || ((a.metadata.name ?? "") < (b.metadata.name ?? "") ? -1 : 1),
        );
    }
  }
  return [];
}

async function podOf(dashboard: KnownDashboard, flags: DashboardFlags, context: CliContext): Promise<Pod> {
  const namespaces = await namespacesOf(flags, context);
  const [pod] = await findDashboard(dashboard, await context.connect(flags), namespaces);
  if (pod !== undefined) return pod;
  throw userError(
    "not-installed",
    `${dashboard.name} is not installed: no pod with the label ${dashboard.selectors[0] ?? ""} in namespace ${namespaces.join(" or ")}`,
    {
      hint: `${dashboard.install}; use -n for another namespace`,
    },
  );
}

async function namedPod(name: string | undefined, flags: DashboardFlags, context: CliContext): Promise<Pod> {
  const { selector } = flags;
  if ((name === undefined) === (selector === undefined))
    throw userError(
      "argument-missing",
      name === undefined ? "no proxy is selected: expected a pod or -l" : "a pod cannot be combined with -l",
      { hint: `${context.programName} dashboard proxy deployment/web -n shop, or -l app=web -n shop` },
    );
  const client = await context.connect(flags);
  const [pod] =
    name === undefined
      ? await findPodsByLabel(client, selector ?? "", flags, context)
      : await findPods(client, name, flags, context);
  if (pod === undefined) throw userError("object-missing", `${name ?? selector ?? ""} has no pods`);
  return pod;
}

/** Finds the control plane's pod by its name, its labels or its revision. Without these, finds the first that runs. */
async function pilotPod(name: string | undefined, flags: DashboardFlags, context: CliContext): Promise<Pod> {
  const { selector, revision } = flags;
  if ([name, selector, revision].filter((part) => part !== undefined).length > 1)
    throw userError(
      "arguments-conflict",
      "a pod, -l and -r exclude each other: pass one of them to select the control plane",
    );
  const where = { ...flags, namespace: flags.namespace ?? istioNamespaceOf(flags) };
  const client = await context.connect(flags);
  const [pod] =
    name === undefined
      ? await findPodsByLabel(
          client,
          selector ?? (revision === undefined ? "app=istiod" : `app=istiod,${istioLabels.revision}=${revision}`),
          where,
          context,
        )
      : await findPods(client, name, where, context);
  if (pod === undefined) throw userError("object-missing", `${name ?? "istiod"} has no pods`);
  return pod;
}

/** Throws if nothing serves the page, because the browser would show an empty page. A slow server is no error. */
async function refuseSilent({ pod, port }: PodPage, flags: DashboardFlags, context: CliContext): Promise<void> {
  const { name = "", namespace = "" } = pod.metadata;
  const request = context
    .requestOfPod(flags, { namespace, pod: name, port, method: "GET", path: "/" })
    .catch((cause: unknown) => {
      throw transientError(
        "admin-unreachable",
        `${name}.${namespace} serves nothing on port ${port}: ${messageOf(cause)}`,
        { cause, hint: `kubectl -n ${namespace} logs ${name}` },
      );
    });
  await Promise.race([request, context.clock.sleep(answerWithinMs, context.signal)]);
}

async function show({ pod, port, path }: PodPage, flags: DashboardFlags, context: CliContext): Promise<void> {
  const { name = "", namespace = "" } = pod.metadata;
  if (!isRunning(pod))
    throw userError("pod-not-running", `pod ${name}.${namespace} is ${pod.status?.phase ?? "Pending"}`, {
      hint: `kubectl -n ${namespace} describe pod ${name}`,
    });
  await refuseSilent({ pod, port, path }, flags, context);
  const problems = new Set<string>();
  const forward = new LocalForward({
    address: flags.address,
    ports: flags.port === undefined || flags.port === 0 ? [port, 0] : [flags.port],
    open: async () => await context.streamOfPod(flags, { namespace, pod: name, port }),
    failed: (reason) => {
      // A browser repeats its request, so print each problem once.
      if (problems.has(reason) || context.signal.aborted) return;
      problems.add(reason);
      context.err(`${reason}\n`);
    },
  });
  const taken = await forward.listen();
  try {
    const url = `http://${joinHostPort(flags.address, taken)}${path}`;
    context.out(`${url}\n`);
    if (!flags.browser) context.out("skipping opening a browser\n");
    else if (!(await context.openBrowser(url)))
      context.out(`No browser could be opened. Open ${url} in your browser. Interrupt (Ctrl-C) to end.\n`);
    await aborted(context.signal);
  } finally {
    forward.close();
  }
}

async function list(flags: CommonFlags, context: CliContext): Promise<void> {
  const client = await context.connect(flags);
  const namespaces = await namespacesOf(flags, context);
  const rows = await Promise.all(
    knownDashboards.map(async (dashboard) => {
      const [pod] = await findDashboard(dashboard, client, namespaces);
      const state = pod === undefined ? "not installed" : isRunning(pod) ? "running" : (pod.status?.phase ?? "Pending");
      return [
        dashboard.name,
        state,
        pod === undefined ? "" : `${pod.metadata.name ?? ""}.${pod.metadata.namespace ?? ""}`,
        String(dashboard.port),
        dashboard.summary,
      ];
    }),
  );
  context.out(fittedTable(["NAME", "STATE", "POD", "PORT", "SHOWS"], rows, { columns: context.columns() }));
}
