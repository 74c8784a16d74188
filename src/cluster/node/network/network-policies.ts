import {
  namespaceKind,
  networkPolicyKind,
  podKind,
  type Namespace,
  type NetworkPolicy,
  type Pod,
} from "../../../api/kubernetes/index.ts";
import { aborted, jsonEqual, messageOf, type Clock, type Logger } from "../../../base/index.ts";
import { createInformer, type Informer, type KubeClient } from "../../../kube/index.ts";
import { maxSelectorParts } from "./network-policy-peers.ts";
import { maxRulesPerDirection, planNetworkPolicies, type LocalPod, type PodIsolation } from "./network-policy-plan.ts";
import { closed, NetworkPolicyRules } from "./network-policy-rules.ts";

export interface NetworkPoliciesOptions {
  readonly client: KubeClient;
  /** The pods of this node that have their own address. */
  readonly localPods: () => readonly LocalPod[];
  /** The address of this node if the cluster's name server listens on it. Otherwise undefined. */
  readonly nameServer: string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

const retryMs = 1_000;

/**
 * Enforces NetworkPolicies for the pods of one node. It begins to watch the cluster's pods and namespaces when the
 * first policy appears.
 */
export class NetworkPolicies {
  readonly #options: NetworkPoliciesOptions;
  readonly #policies: Informer<NetworkPolicy>;
  readonly #pods: Informer<Pod>;
  readonly #namespaces: Informer<Namespace>;
  /** The rules in the kernel. It is undefined while this node has not read the objects that it needs to plan rules. */
  #rules: NetworkPolicyRules | undefined;
  #isBroken = false;
  #scheduled: Disposable | undefined;
  readonly #overfull = new Set<string>();
  /** The isolations whose rules the kernel has refused, by the pod's address. */
  readonly #refused = new Map<string, PodIsolation>();

  constructor(options: NetworkPoliciesOptions) {
    this.#options = options;
    const { client, clock, log } = options;
    const shared = { clock, log, streamsList: true };
    this.#policies = createInformer(client, networkPolicyKind, shared);
    this.#pods = createInformer(client, podKind, shared);
    this.#namespaces = createInformer(client, namespaceKind, shared);
  }

  /** Runs until the signal aborts. The rules stay in the kernel. */
  async run(signal: AbortSignal): Promise<void> {
    const informers = [this.#policies.run(signal)];
    await Promise.race([this.#policies.synced, aborted(signal)]);
    if (!signal.aborted && this.#policies.list().length === 0) await this.#firstPolicy(signal);
    if (!signal.aborted) {
      informers.push(this.#pods.run(signal), this.#namespaces.run(signal));
      await Promise.race([Promise.all([this.#pods.synced, this.#namespaces.synced]), aborted(signal)]);
    }
    if (!signal.aborted) await this.#enforce(signal);
    await Promise.all(informers);
  }

  /** Plans the rules again. Call this when a pod of this node has started or ended, or when its labels have changed. */
  podsChanged(): void {
    this.#schedule(0);
  }

  /** Waits for the first policy. Until then, it only removes the rules of an earlier process. */
  async #firstPolicy(signal: AbortSignal): Promise<void> {
    const first = Promise.withResolvers<void>();
    using _subscription = this.#policies.subscribe(({ type }) => {
      if (type === "set") first.resolve();
    });
    this.#open();
    await Promise.race([first.promise, aborted(signal)]);
    this.#close();
  }

  async #enforce(signal: AbortSignal): Promise<void> {
    this.#open();
    using _policies = this.#policies.subscribe(() => this.#schedule(0));
    using _pods = this.#pods.subscribe(() => this.#schedule(0));
    using _namespaces = this.#namespaces.subscribe(() => this.#schedule(0));
    await aborted(signal);
    this.#close();
  }

  #open(): void {
    this.#rules = new NetworkPolicyRules();
    this.#isBroken = true;
    this.#apply();
  }

  #close(): void {
    this.#scheduled?.[Symbol.dispose]();
    this.#scheduled = undefined;
    this.#rules?.[Symbol.dispose]();
    this.#rules = undefined;
  }

  /** Applies changes after a delay, so that changes that arrive together are applied together. */
  #schedule(delayMs: number): void {
    if (this.#scheduled !== undefined || this.#rules === undefined) return;
    this.#scheduled = this.#options.clock.after(delayMs, () => {
      this.#scheduled = undefined;
      this.#apply();
    });
  }

  #apply(): void {
    const rules = this.#rules;
    if (rules === undefined) return;
    const planned = planNetworkPolicies({
      policies: this.#policies.list(),
      localPods: this.#options.localPods(),
      pods: this.#pods.list(),
      namespaceLabels: (name) => this.#namespaces.get(name)?.metadata.labels,
    });
    this.#warn(planned);
    const isolations = this.#withoutRefused(planned);
    try {
      if (this.#isBroken) rules.replaceAll(isolations, this.#options.nameServer);
      else rules.update(isolations);
      this.#isBroken = false;
    } catch (error) {
      this.#options.log.error("the rules of network policies were refused, so they are made pod by pod", {
        error: messageOf(error),
      });
      this.#applyEach(rules, isolations);
    }
  }

  /**
   * Applies the rules pod by pod, starting from rules that allow nothing, because an earlier attempt may have applied a
   * part of the changes.
   */
  #applyEach(rules: NetworkPolicyRules, isolations: readonly PodIsolation[]): void {
    try {
      rules.replaceEach(isolations, this.#options.nameServer, (isolation, error) => {
        this.#refused.set(isolation.address, isolation);
        this.#options.log.error("the kernel refuses the rules of a pod's network policies, so nothing is allowed", {
          pod: isolation.address,
          error: messageOf(error),
        });
      });
      this.#isBroken = false;
    } catch (error) {
      this.#isBroken = true;
      this.#options.log.error("the rules of network policies were refused", { error: messageOf(error) });
      this.#schedule(retryMs);
    }
  }

  /**
   * The isolations to apply. A pod whose rules the kernel has refused gets no traffic in its isolated directions until
   * its planned rules change.
   */
  #withoutRefused(planned: readonly PodIsolation[]): readonly PodIsolation[] {
    if (this.#refused.size === 0) return planned;
    const addresses = new Set(planned.map(({ address }) => address));
    for (const address of this.#refused.keys()) if (!addresses.has(address)) this.#refused.delete(address);
    return planned.map((isolation) => {
      if (jsonEqual(this.#refused.get(isolation.address), isolation)) return closed(isolation);
      this.#refused.delete(isolation.address);
      return isolation;
    });
  }

  #warn(isolations: readonly PodIsolation[]): void {
    const overfull = new Set(
      isolations.flatMap(({ address, overfull: directions }) =>
        directions.map((direction) => `${direction} of ${address}`),
      ),
    );
    for (const name of overfull)
      if (!this.#overfull.has(name))
        this.#options.log.error("a pod's network policies have too many rules or selectors, so nothing is allowed", {
          pod: name,
          most: maxRulesPerDirection,
          mostInSelectors: maxSelectorParts,
        });
    this.#overfull.clear();
    for (const name of overfull) this.#overfull.add(name);
  }
}
