import { messageOf, userError, type Clock, type Logger } from "../../base/index.ts";
import { groupVersionOf } from "../../api/index.ts";
import type { SourceState, TopicName, Topics, View } from "../../api/dashboard/index.ts";
import { rolloutOffers } from "../../api/serin/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { Measurements } from "../server/measurements.ts";
import type { ViewReader, ViewSource } from "../server/view-source.ts";
import {
  configMessagesOf,
  configsView,
  configView,
  findConfig,
  findRollout,
  graphView,
  isVisible,
  ladderView,
  makeInventory,
  noMessages,
  overviewView,
  rolloutsView,
  rolloutView,
  serviceView,
  servicesView,
  visibleMessages,
  withoutKinds,
  workloadsView,
  workloadView,
  type ConfigMessages,
  type Inventory,
  type TrafficEdge,
  type ViewInput,
} from "../views/index.ts";
import { MeshReader } from "./mesh-reader.ts";
import { PilotWatcher } from "./pilot-watcher.ts";
import type { AskPod } from "./pod-http.ts";
import { PrometheusTraffic } from "./prometheus-traffic.ts";
import { ScrapedTraffic } from "./scraped-traffic.ts";
import { TrafficSeries } from "./traffic-series.ts";
import type { TrafficSource } from "./traffic-source.ts";
import { ViewHub, type Input } from "./view-hub.ts";

export interface DashboardReaderOptions {
  /** The client of the server's own account, or of the user whose kubeconfig the server uses. */
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  /** How to reach pods: {@link askPodDirectly} within the cluster, {@link askPodByApiServer} elsewhere. */
  readonly askPod: AskPod;
  /** An existing Prometheus. If set, it is queried, and the proxies are not scraped. */
  readonly prometheusUrl?: string;
  readonly cluster: string;
}

export interface DashboardReader {
  readonly views: ViewSource;
  readonly measurements: Measurements;
  traffic(windowSeconds: number): Promise<readonly TrafficEdge[]>;
  run(signal: AbortSignal): Promise<void>;
}

/** The time over which tables measure rates. */
const tableWindowSeconds = 60;
/** The analyzer runs this long after a change. It then rests for this many times the duration of its run. */
const analysisDelayMs = 700;
const analysisRestFactor = 20;

/** Reads everything that the page and the terminal show. Reads nothing before `run`. */
export function createDashboardReader(options: DashboardReaderOptions): DashboardReader {
  return new Reader(options);
}

class Reader implements DashboardReader {
  readonly views: ViewHub;
  readonly measurements: Measurements;
  readonly #options: DashboardReaderOptions;
  readonly #mesh: MeshReader;
  readonly #pilots: PilotWatcher;
  readonly #traffic: TrafficSource;
  /** The current inventories, by the kinds that each leaves out. */
  readonly #inventories = new Map<string, Inventory>();
  #inventoriesVersion = -1;
  #messages: ConfigMessages = noMessages;
  #messagesVersion = 0;
  /** Why the last run of the analyzer failed. The messages are then those of an earlier run. */
  #messagesProblem: string | undefined;
  #analysedAtMs: number | undefined;
  #pilotsVersion = 0;
  #analysisTimer: Disposable | undefined;
  #isRunning = false;
  readonly #beganMs: number;

  constructor(options: DashboardReaderOptions) {
    const { client, clock, log, askPod, prometheusUrl } = options;
    this.#options = options;
    this.#beganMs = clock.steadyMs();
    this.views = new ViewHub({
      clock,
      log,
      versionOf: (input) => this.#versionOf(input),
      inputsOf,
      make: async (name, parameters, reader) => await this.#make(name, parameters, reader),
    });
    this.#mesh = new MeshReader({
      client,
      clock,
      log,
      onChange: () => {
        this.#analyseLater();
        this.views.changed();
      },
    });
    const pods = (): ReturnType<MeshReader["pods"]> => this.#mesh.pods();
    const onCounted = (): void => this.views.changed();
    this.#traffic =
      prometheusUrl === undefined
        ? new ScrapedTraffic({ ask: askPod, clock, log, pods, reporters: () => this.#mesh.reporters(), onCounted })
        : new PrometheusTraffic({ url: prometheusUrl, clock, onCounted });
    this.#pilots = new PilotWatcher({
      ask: askPod,
      clock,
      pods,
      injectors: () => this.#mesh.injectors(),
      isWanted: () => this.views.isWanted("pilots"),
      onChange: () => {
        this.#pilotsVersion += 1;
        this.views.changed();
      },
    });
    this.measurements = new TrafficSeries({ traffic: this.#traffic, clock, inventory: () => this.#currentInventory() });
  }

  async traffic(windowSeconds: number): Promise<readonly TrafficEdge[]> {
    return (await this.#traffic.measure(windowSeconds, 0)).edges;
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#isRunning = true;
    await Promise.all([this.#mesh.run(signal), this.#traffic.run(signal), this.#pilots.run(signal)]);
    this.#isRunning = false;
    this.#analysisTimer?.[Symbol.dispose]();
  }

  #versionOf(input: Input): number {
    switch (input) {
      case "objects":
        return this.#mesh.version;
      case "traffic":
        return this.#traffic.version;
      case "pilots":
        return this.#pilotsVersion;
      case "messages":
        return this.#messagesVersion;
      case "time":
        return Math.floor(this.#options.clock.nowMs() / timeStepMs);
    }
  }

  #currentInventory(hidden: ReadonlySet<string> = new Set()): Inventory {
    const { version } = this.#mesh;
    if (this.#inventoriesVersion !== version) this.#inventories.clear();
    this.#inventoriesVersion = version;
    const key = [...hidden].toSorted().join(" ");
    let inventory = this.#inventories.get(key);
    if (inventory === undefined)
      this.#inventories.set(key, (inventory = makeInventory(withoutKinds(this.#mesh.objects(), hidden))));
    return inventory;
  }

  #analyseLater(): void {
    if (this.#analysisTimer !== undefined || !this.#isRunning) return;
    this.#analysisTimer = this.#options.clock.after(analysisDelayMs, () => this.#analyse());
  }

  /** Runs the analyzer if a followed view needs its messages, and again after later changes. */
  #analyse(): void {
    const { clock, log } = this.#options;
    const startedMs = clock.steadyMs();
    const version = this.#mesh.version;
    if (this.views.isWanted("messages")) {
      try {
        this.#messages = configMessagesOf(this.#mesh.objects(), this.#mesh.unread);
        this.#messagesProblem = undefined;
        this.#analysedAtMs = clock.nowMs();
      } catch (error) {
        this.#messagesProblem = messageOf(error);
        log.error("the configuration could not be analysed", { error: this.#messagesProblem });
      }
      this.#messagesVersion += 1;
      this.views.changed();
    }
    const restMs = Math.max(analysisDelayMs, (clock.steadyMs() - startedMs) * analysisRestFactor);
    this.#analysisTimer = clock.after(restMs, () => {
      this.#analysisTimer = undefined;
      if (this.#mesh.version !== version || (this.views.isWanted("messages") && this.#messagesVersion === 0))
        this.#analyseLater();
    });
  }

  async #make(
    name: TopicName,
    parameters: Topics[TopicName]["parameters"],
    reader: ViewReader,
  ): Promise<View | undefined> {
    // Make no view before the objects have been read: it would look like that of an empty mesh.
    if (!this.#mesh.isSynced) {
      const problem = this.#mesh.sources().find(({ ok }) => !ok)?.problem;
      if (problem !== undefined && this.#options.clock.steadyMs() - this.#beganMs > patienceMs)
        throw userError("unavailable", problem);
      return undefined;
    }
    if (inputsOf(name, parameters).includes("messages") && this.#messagesVersion === 0) this.#analyseLater();
    const wanted = parameters as Partial<Record<string, string | number>>;
    const windowSeconds = name === "graph" ? Number(wanted["windowSeconds"]) : tableWindowSeconds;
    const atMs = name === "graph" ? Number(wanted["atMs"]) : 0;
    const traffic = await this.#traffic.measure(windowSeconds, atMs);
    // Do not hide the kind of the object that the page names: a user who may not list the kind may still have the right
    // to get this object.
    const named = name === "rollout" || name === "config" ? String(wanted["kind"]) : "";
    const inventory = this.#currentInventory(new Set([...reader.hiddenKinds].filter((kind) => kind !== named)));
    const messages = visibleMessages(this.#messages, inventory, reader.namespaces);
    const input: ViewInput = {
      atMs: this.#options.clock.nowMs(),
      sources: this.#sources(name),
      inventory,
      traffic,
      pilots: this.#pilots.reports,
      messages,
    };
    return await this.#viewOf(name, parameters, reader, input);
  }

  #sources(name: TopicName): SourceState[] {
    const inputs = inputsOf(name, {});
    return [
      ...this.#mesh.sources(),
      ...(inputs.includes("traffic") ? [this.#traffic.source()] : []),
      ...(inputs.includes("pilots") ? this.#pilots.sources() : []),
      ...(inputs.includes("messages") ? this.#analysisSource() : []),
    ];
  }

  /**
   * The analyzer as a source of views, if it failed. Without it, an empty list of messages would look like a mesh
   * without problems.
   */
  #analysisSource(): SourceState[] {
    return this.#messagesProblem === undefined
      ? []
      : [
          {
            name: "analysis",
            ok: false,
            ...(this.#analysedAtMs === undefined ? {} : { asOfMs: this.#analysedAtMs }),
            problem: `the configuration cannot be analysed, so messages are missing: ${this.#messagesProblem}; serin analyze shows more`,
          },
        ];
  }

  async #viewOf(
    name: TopicName,
    parameters: Topics[TopicName]["parameters"],
    reader: ViewReader,
    input: ViewInput,
  ): Promise<View> {
    const visible = reader.namespaces;
    const named = parameters as { readonly namespaces: string; readonly namespace: string; readonly name: string };
    const key = `${named.namespace}/${named.name}`;
    const ofName = <Value>(objects: ReadonlyMap<string, Value>, kind: string): Value =>
      found(isVisible(visible, named.namespace) ? objects.get(key) : undefined, `${kind} ${key}`);
    switch (name) {
      case "overview":
        return overviewView(input, visible, this.#options.cluster);
      case "graph":
        return graphView(input, parameters as Topics["graph"]["parameters"], visible);
      case "ladder":
        return ladderView(input, visible);
      case "rollouts":
        return rolloutsView(input, visible);
      case "rollout":
        return await this.#rollout(parameters as Topics["rollout"]["parameters"], reader, input);
      case "workloads":
        return workloadsView(input, named.namespaces, visible);
      case "workload":
        return workloadView(input, ofName(input.inventory.workloads, "workload"), visible);
      case "services":
        return servicesView(input, named.namespaces, visible);
      case "service":
        return serviceView(input, ofName(input.inventory.services, "Service"), visible);
      case "configs":
        return configsView(input, named.namespaces, visible);
      case "config":
        return await this.#config(parameters as Topics["config"]["parameters"], reader, input);
    }
  }

  async #rollout(parameters: Topics["rollout"]["parameters"], reader: ViewReader, input: ViewInput): Promise<View> {
    const { kind, namespace, name } = parameters;
    const rollout = found(
      kind === "MeshUpgrade" || isVisible(reader.namespaces, namespace)
        ? findRollout(input.inventory, parameters)
        : undefined,
      `${kind} ${namespace === "" ? "" : `${namespace}/`}${name}`,
    );
    const right = {
      group: "rollout.serin.dev",
      resource: kind === "Canary" ? "canaries" : "meshupgrades",
      namespace,
      name,
    };
    const [patch, remove, create] = await Promise.all(
      ["patch", "delete", "create"].map(async (verb) => await reader.may({ verb, ...right })),
    );
    const journal = input.inventory.objects.journals.find(
      ({ metadata }) => metadata.name === [kind.toLowerCase(), namespace, name].filter((part) => part !== "").join("."),
    );
    return rolloutView(input, rollout, {
      actions: rolloutOffers(
        kind,
        rollout,
        { patch: patch === true, replace: remove === true && create === true },
        journal?.entries,
      ),
      visible: reader.namespaces,
    });
  }

  async #config(parameters: Topics["config"]["parameters"], reader: ViewReader, input: ViewInput): Promise<View> {
    const { apiVersion, kind, namespace, name } = parameters;
    const object = found(
      isVisible(reader.namespaces, namespace) || namespace === "" ? findConfig(input.inventory, parameters) : undefined,
      `${kind} ${namespace === "" ? "" : `${namespace}/`}${name}`,
    );
    const resource = this.#mesh.resourceOf(object);
    const { group } = groupVersionOf(apiVersion);
    const mayWrite = resource !== undefined && (await reader.may({ verb: "update", group, resource, namespace, name }));
    return configView(input, object, reader.namespaces, mayWrite);
  }
}

const timeStepMs = 15_000;
/**
 * How long the first answer may take before a problem is reported. An API server that has just started answers late.
 */
const patienceMs = 5000;

function found<Value>(value: Value | undefined, what: string): Value {
  if (value === undefined)
    throw userError("not-found", `there is no ${what}, or you may not see it`, {
      hint: "it may have been deleted; the lists show what exists",
    });
  return value;
}

function inputsOf(name: TopicName, parameters: Topics[TopicName]["parameters"]): readonly Input[] {
  switch (name) {
    case "overview":
      return ["objects", "traffic", "pilots", "messages"];
    case "graph":
      // The traffic of a past time does not change any more.
      return "atMs" in parameters && parameters.atMs !== 0 ? ["objects"] : ["objects", "traffic"];
    case "ladder":
      return ["objects", "pilots"];
    case "rollouts":
      // A freeze begins and ends without a change of an object.
      return ["objects", "time"];
    case "rollout":
      return ["objects"];
    case "workload":
      return ["objects", "traffic", "pilots", "messages"];
    case "workloads":
    case "services":
      return ["objects", "traffic"];
    case "service":
      return ["objects", "traffic", "messages"];
    case "configs":
    case "config":
      return ["objects", "messages"];
  }
}
