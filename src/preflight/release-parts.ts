// The parts of a plan that need processes of the releases.
import { istioLabels } from "../api/istio/index.ts";
import { counted, messageOf, SerinError } from "../base/index.ts";
import type { UntypedObject } from "../api/index.ts";
import { serveReadOnlyRelay } from "../kube/index.ts";
import type { MeshTrust } from "./static-checks/trust.ts";
import type { InjectedWorkload } from "./static-checks/workloads.ts";
import { compareDefinitions } from "./compare/definitions.ts";
import { compareInjection } from "./compare/injection.ts";
import { compareMessages } from "./compare/messages.ts";
import { neutral, type Side } from "./compare/neutral.ts";
import { compareObjects, compareRendered } from "./compare/rendered.ts";
import { injectableWorkloads } from "./injectable-workload.ts";
import {
  controlPlaneOf,
  isControlPlane,
  isZtunnelOf,
  pilotPodsOf,
  rendersZtunnel,
  type RenderedControlPlane,
} from "./rendered-control-plane.ts";
import { fieldChanges } from "./tree-diff.ts";
import { meshTrustOf, rootNamespaceOf, specTrust } from "./trust-settings.ts";
import {
  configurationFindings,
  defaultsFindings,
  definitionFindings,
  pilotPodsFindings,
  proxyFindings,
  renderedFindings,
} from "./findings.ts";
import type { LiveCluster } from "./live-cluster.ts";
import type { PlannedUpgrade, PreflightOptions } from "./options.ts";
import {
  askAnalysis,
  askInjection,
  askManifest,
  askProfile,
  askValidation,
  readDefinitions,
} from "./release/ask-release.ts";
import type { Release } from "./release/release.ts";
import type { ReleaseRunner } from "./release/release-runner.ts";
import type { Finding, InjectionGroup, NotCompared, PlanArea, PreflightReport } from "./report.ts";
import { compareProxies, maxProxies } from "./shadow/compare-proxies.ts";
import { liveProxies } from "./shadow/live-proxies.ts";
import { shadowEnvironment } from "./shadow/shadow-pilot.ts";

export interface ReleasePartsInput extends PreflightOptions {
  readonly runner: ReleaseRunner;
  readonly live: LiveCluster;
  readonly from: Release | undefined;
  readonly to: Release | undefined;
  readonly fromVersion: string | undefined;
  readonly injected: readonly InjectedWorkload[];
}

export interface ReleaseParts {
  readonly findings: readonly Finding[];
  readonly notCompared: readonly NotCompared[];
  readonly reports: Pick<PreflightReport, "rendered" | "defaults" | "definitions" | "configuration" | "proxies">;
  readonly injection: readonly InjectionGroup[];
  readonly toTrust: MeshTrust;
  readonly toNamespace: string;
  /** Whether the new revision has a ztunnel. Undefined if its objects could not be rendered. */
  readonly hasZtunnel: boolean | undefined;
  readonly toVersion: string | undefined;
}

export async function releaseParts(input: ReleasePartsInput): Promise<ReleaseParts> {
  const questions = new ReleaseQuestions(input);
  await questions.ask();
  return questions.result();
}

/** Runs the parts one after another. If a part fails, the report names it as not compared, and the next part runs. */
class ReleaseQuestions {
  readonly #input: ReleasePartsInput;
  readonly #findings: Finding[] = [];
  readonly #notCompared: NotCompared[] = [];
  #reports: ReleaseParts["reports"] = {};
  #injection: readonly InjectionGroup[] = [];
  #control: RenderedControlPlane | undefined;
  #hasZtunnel: boolean | undefined;

  constructor(input: ReleasePartsInput) {
    this.#input = input;
  }

  result(): ReleaseParts {
    const { live, upgrade, to } = this.#input;
    const control = this.#control;
    return {
      findings: this.#findings,
      notCompared: this.#notCompared,
      reports: this.#reports,
      injection: this.#injection,
      toTrust: control === undefined ? specTrust(upgrade.installs, live.controlPlane.mesh) : meshTrustOf(control.mesh),
      toNamespace: control?.namespace ?? live.controlPlane.namespace,
      hasZtunnel:
        upgrade.installs.length === 0
          ? live.pods.some(({ metadata }) => isZtunnelOf(metadata.labels, upgrade.to))
          : this.#hasZtunnel,
      toVersion: control?.version ?? to?.version ?? wantedVersion(upgrade),
    };
  }

  async ask(): Promise<void> {
    const { from, to, fromVersion, progress } = this.#input;
    if (to === undefined)
      return this.#missing(
        "to",
        ["rendered", "defaults", "definitions", "configuration", "proxies"],
        wantedVersion(this.#input.upgrade),
      );
    progress(`asking release ${to.version} what it would install`);
    await this.#render(to);
    if (from === undefined) {
      await this.#definitions(to);
      return this.#missing("from", ["defaults", "configuration", "proxies"], fromVersion);
    }
    progress("comparing defaults, definitions and the live objects");
    await Promise.all([
      this.#defaults(from, to),
      this.#definitions(to),
      this.#configuration(from, to),
      this.#inject(from, to),
    ]);
    await this.#proxies(from, to);
  }

  #missing(side: "from" | "to", areas: readonly PlanArea[], version: string | undefined): void {
    const reason = `the ${side === "from" ? "old" : "new"} release${version === undefined ? "" : `, ${version},`} is not available`;
    for (const area of [...areas, ...(this.#hasInjection() ? (["workloads"] as const) : [])])
      this.#notCompared.push({ area, reason, hint: `give its directory with --${side}-release DIR` });
  }

  /** Whether there are pods for which the injection by both releases can be compared. */
  #hasInjection(): boolean {
    const { live, injected } = this.#input;
    return live.controlPlane.injector !== undefined && injectableWorkloads(injected).length > 0;
  }

  async #try(area: PlanArea, ask: () => Promise<void>): Promise<void> {
    try {
      await ask();
    } catch (error) {
      this.#input.signal.throwIfAborted();
      this.#notCompared.push({
        area,
        reason: messageOf(error),
        hint: error instanceof SerinError ? (error.hint ?? "") : "",
      });
    }
  }

  get #fromSide(): Side {
    const { upgrade, fromVersion, from } = this.#input;
    return { revision: upgrade.from, versions: [...new Set([fromVersion ?? "", from?.version ?? ""])] };
  }

  get #toSide(): Side {
    const { upgrade, to } = this.#input;
    return { revision: upgrade.to, versions: [...new Set([this.#control?.version ?? "", to?.version ?? ""])] };
  }

  async #render(to: Release): Promise<void> {
    const { upgrade, live } = this.#input;
    const objects = await this.#objectsOf(to);
    if (objects === undefined) return;
    this.#control = controlPlaneOf(objects, upgrade.to);
    this.#hasZtunnel = rendersZtunnel(objects, upgrade.to);
    if (this.#control === undefined) return this.#blockWithoutControlPlane(objects);
    if (this.#control.version !== to.version)
      this.#findings.push({
        severity: "warning",
        area: "rendered",
        message: `the install spec names version ${this.#control.version}, but the plan uses release ${to.version}`,
        hint: "--to-release must be the release of the images",
      });
    const rendered = compareRendered({
      installed: live.installed,
      rendered: objects.filter(({ kind }) => !live.unlisted.has(kind ?? "")),
      namespaces: new Set(live.namespaces.map(({ metadata }) => metadata.name ?? "")),
      from: this.#fromSide,
      to: this.#toSide,
    });
    this.#reports = { ...this.#reports, rendered };
    this.#findings.push(...renderedFindings(rendered, upgrade.from), ...this.#pilotPods(objects));
  }

  #pilotPods(objects: readonly UntypedObject[]): readonly Finding[] {
    const { upgrade, live } = this.#input;
    const pods = pilotPodsOf(objects, upgrade.to);
    if (pods === undefined) return [];
    const { replicas: count = 1 } = live.controlPlane.deployment.spec ?? {};
    const to = { revision: upgrade.to, isRendered: upgrade.installs.length > 0 };
    return pilotPodsFindings({ revision: upgrade.from, count }, pods, to);
  }

  /** The objects of the new revision, rendered or already installed. Undefined if the release refuses the spec. */
  async #objectsOf(to: Release): Promise<readonly UntypedObject[] | undefined> {
    const { runner, upgrade, live, signal } = this.#input;
    try {
      const objects =
        upgrade.installs.length === 0
          ? live.installed.filter((object) => object.metadata.labels?.[istioLabels.revision] === upgrade.to)
          : await askManifest(runner, to, upgrade.installs);
      if (upgrade.cni === undefined) return objects;
      const agent = (await askManifest(runner, to, [upgrade.cni], "to.cni")).filter(
        ({ metadata }) => metadata.labels?.[istioLabels.component] === "Cni",
      );
      return [...objects, ...agent];
    } catch (error) {
      signal.throwIfAborted();
      this.#blockRefused(error);
      return undefined;
    }
  }

  #blockRefused(error: unknown): void {
    const hint = error instanceof SerinError ? error.hint : undefined;
    this.#findings.push({
      severity: "blocked",
      area: "rendered",
      message: messageOf(error),
      ...(hint === undefined ? {} : { hint }),
    });
    for (const area of ["rendered", "defaults", "proxies"] as const)
      this.#notCompared.push({
        area,
        reason: "the new release refuses the install spec",
        hint: "fix the spec, and plan again",
      });
  }

  #blockWithoutControlPlane(objects: readonly UntypedObject[]): void {
    const { upgrade } = this.#input;
    const isInstalled = upgrade.installs.length === 0;
    const revisions = objects
      .filter(isControlPlane)
      .map(({ metadata }) => metadata.labels?.[istioLabels.revision] ?? "default");
    this.#findings.push({
      severity: "blocked",
      area: "rendered",
      message: `${isInstalled ? "the cluster has" : "spec.to.install renders"} no control plane of revision "${upgrade.to}"${revisions.length === 0 ? "" : `, only of ${revisions.join(", ")}`}`,
      hint: isInstalled
        ? "without spec.to.install, the revision must already be installed"
        : `set revision: ${upgrade.to} in the install spec`,
    });
  }

  async #defaults(from: Release, to: Release): Promise<void> {
    const { runner, upgrade } = this.#input;
    const control = this.#control;
    if (control === undefined || upgrade.installs.length === 0) return;
    await this.#try("defaults", async () => {
      const name = profileOf(upgrade.installs);
      const [fromSide, toSide] = [
        { ...this.#toSide, versions: [...this.#toSide.versions, ...this.#fromSide.versions] },
        this.#toSide,
      ];
      const [objects, before, after] = await Promise.all([
        askManifest(runner, from, upgrade.installs),
        askProfile(runner, from, name),
        askProfile(runner, to, name),
      ]);
      const defaults = {
        profile: fieldChanges(neutral(before, fromSide), neutral(after, toSide)),
        effective: compareObjects(objects, control.objects, fromSide, toSide),
      };
      this.#reports = { ...this.#reports, defaults };
      this.#findings.push(...defaultsFindings(defaults));
    });
  }

  async #definitions(to: Release): Promise<void> {
    const { live } = this.#input;
    await this.#try("definitions", async () => {
      const rendered = (this.#control?.objects ?? []).filter(({ kind }) => kind === "CustomResourceDefinition");
      const after = rendered.length > 0 ? rendered : await readDefinitions(to, live.definitions);
      const definitions = {
        installed: rendered.length > 0,
        changes: compareDefinitions({ before: live.definitions, after, stored: live.stored }),
      };
      this.#reports = { ...this.#reports, definitions };
      this.#findings.push(...definitionFindings(definitions));
    });
  }

  async #configuration(from: Release, to: Release): Promise<void> {
    const { runner, live, upgrade, kubeConfig, clock, log } = this.#input;
    await this.#try("configuration", async () => {
      const relay = await serveReadOnlyRelay(kubeConfig, { clock, log });
      try {
        const kubeconfig = await runner.file("kubeconfig", relay.kubeconfig);
        const options = { kubeconfig, revision: upgrade.from, namespace: live.controlPlane.namespace };
        const objects = [...live.stored.values()]
          .flat()
          .map(({ status: _status, metadata: { managedFields: _managed, ...metadata }, ...rest }) => ({
            ...rest,
            metadata,
          }));
        const ask = async (release: Release, meshConfig: string): Promise<Parameters<typeof compareMessages>[0]> =>
          (
            await Promise.all([
              askAnalysis(runner, release, { ...options, meshConfig }),
              askValidation(runner, release, objects),
            ])
          ).flat();
        const [before, after] = await Promise.all([
          ask(from, live.controlPlane.mesh),
          ask(to, this.#control?.mesh ?? live.controlPlane.mesh),
        ]);
        const configuration = compareMessages(before, after);
        this.#reports = { ...this.#reports, configuration };
        this.#findings.push(...configurationFindings(configuration));
      } finally {
        relay.close();
      }
    });
  }

  async #inject(from: Release, to: Release): Promise<void> {
    const { runner, live, upgrade, injected } = this.#input;
    const [control, injector] = [this.#control, live.controlPlane.injector];
    const workloads = injectableWorkloads(injected);
    if (control === undefined || injector === undefined || workloads.length === 0) return;
    await this.#try("workloads", async () => {
      const { namespace } = live.controlPlane;
      const [before, after] = await Promise.all([
        askInjection(runner, from, workloads, {
          revision: upgrade.from,
          namespace,
          config: injector.config ?? "",
          values: injector.values ?? "",
          meshConfig: live.controlPlane.mesh,
        }),
        askInjection(runner, to, workloads, {
          revision: upgrade.to,
          namespace: control.namespace,
          ...control.injector,
          meshConfig: control.mesh,
        }),
      ]);
      this.#injection = compareInjection(before, after, this.#fromSide, this.#toSide);
      if (this.#injection.length > 0)
        this.#findings.push({
          severity: "note",
          area: "workloads",
          message: `injection changes more than version and revision: ${counted(this.#injection.length, "difference")}`,
        });
    });
  }

  async #proxies(from: Release, to: Release): Promise<void> {
    const { live, upgrade, fromVersion } = this.#input;
    const control = this.#control;
    if (control === undefined) return;
    const proxies = liveProxies(live.pods).filter(({ revision }) => (revision ?? "default") === upgrade.from);
    if (proxies.length > maxProxies)
      this.#notCompared.push({
        area: "proxies",
        reason: `${proxies.length} workloads have proxies; only the first ${maxProxies} were compared`,
        hint: "",
      });
    await this.#try("proxies", async () => {
      const { namespace, mesh, deployment } = live.controlPlane;
      const { report, failures, refusedWrites } = await compareProxies({
        ...this.#input,
        from: {
          release: from,
          version: fromVersion ?? from.version,
          meshConfig: mesh,
          env: shadowEnvironment(deployment.spec?.template),
        },
        // Use the Service name of the old revision, so that it does not appear as a difference.
        to: {
          release: to,
          version: control.version,
          meshConfig: control.mesh.replaceAll(serviceOf(upgrade.to), serviceOf(upgrade.from)),
          env: control.env,
        },
        proxies,
        envoyFilters: live.stored.get("envoyfilters.networking.istio.io") ?? [],
        rootNamespace: rootNamespaceOf(mesh, namespace),
        revision: upgrade.from,
        namespace,
      });
      this.#reports = { ...this.#reports, proxies: report };
      this.#findings.push(...proxyFindings(report, failures, refusedWrites));
    });
  }
}

function serviceOf(revision: string): string {
  return `${revision === "default" ? "istiod" : `istiod-${revision}`}.`;
}

/** The tag in the install specs. Undefined if no spec has one. */
export function wantedVersion({ installs }: PlannedUpgrade): string | undefined {
  const tags = installs.flatMap((spec) =>
    typeof spec === "object" &&
    spec !== null &&
    "tag" in spec &&
    (typeof spec.tag === "string" || typeof spec.tag === "number")
      ? [String(spec.tag)]
      : [],
  );
  return tags[0];
}

function profileOf(installs: readonly unknown[]): string {
  const names = installs.flatMap((spec) =>
    typeof spec === "object" && spec !== null && "profile" in spec && typeof spec.profile === "string"
      ? [spec.profile]
      : [],
  );
  return names[0] ?? "default";
}
