import type { UntypedObject } from "../../api/index.ts";
import { addQuantities, compareQuantities, parseQuantity, type Quantity } from "./quantity.ts";

export type Amounts = ReadonlyMap<string, Quantity>;
export type AmountField = "requests" | "limits";

export interface ContainerAmounts {
  readonly name: string;
  readonly restartPolicy?: string;
  resources?: Partial<Record<AmountField, Record<string, string>>>;
}

export interface PodAmounts {
  readonly containers?: readonly ContainerAmounts[];
  readonly initContainers?: readonly ContainerAmounts[];
  /** The resources of the whole pod (KEP-2837). */
  readonly resources?: ContainerAmounts["resources"];
  readonly overhead?: Readonly<Record<string, string>>;
}

export function podSpecOf(pod: UntypedObject): PodAmounts {
  return pod["spec"] ?? {};
}

export function amountsOf(list: Readonly<Record<string, string>> | undefined): Amounts {
  const amounts = new Map<string, Quantity>();
  for (const [name, text] of Object.entries(list ?? {})) {
    const quantity = parseQuantity(text);
    if (quantity !== undefined) amounts.set(name, quantity);
  }
  return amounts;
}

export const ofWholePod = /^(?:cpu|memory|hugepages-.*)$/;

export function wholePodAmounts({ resources }: PodAmounts, field: AmountField): Amounts {
  return new Map([...amountsOf(resources?.[field])].filter(([name]) => ofWholePod.test(name)));
}

/**
 * The most that a pod needs at one time (KEP-753). This is the larger one of two amounts: the sum of the containers and
 * sidecars, and the largest need of an init container with the sidecars that run beside it. An amount that the pod
 * states as a whole replaces this value.
 */
export function podAmounts(spec: PodAmounts, field: AmountField): Amounts {
  const total = sumOfContainers(spec.containers ?? [], field);
  const { sidecars, peak } = initAmounts(spec.initContainers ?? [], field);
  addAmounts(total, sidecars);
  keepLarger(total, peak);
  for (const [name, amount] of wholePodAmounts(spec, field)) total.set(name, amount);
  return total;
}

function sumOfContainers(containers: readonly ContainerAmounts[], field: AmountField): Map<string, Quantity> {
  const sum = new Map<string, Quantity>();
  for (const { resources } of containers) addAmounts(sum, amountsOf(resources?.[field]));
  return sum;
}

interface InitAmounts {
  /** The sum of all sidecars. They run together with the containers. */
  readonly sidecars: Amounts;
  /** The largest need of an init container, including the sidecars that have started before it. */
  readonly peak: Amounts;
}

function initAmounts(initContainers: readonly ContainerAmounts[], field: AmountField): InitAmounts {
  const sidecars = new Map<string, Quantity>();
  const peak = new Map<string, Quantity>();
  for (const { resources, restartPolicy } of initContainers) {
    const own = amountsOf(resources?.[field]);
    if (restartPolicy === "Always") {
      addAmounts(sidecars, own);
      continue;
    }
    const running = new Map(own);
    addAmounts(running, sidecars);
    keepLarger(peak, running);
  }
  return { sidecars, peak };
}

/**
 * The amounts of {@link podAmounts} plus the pod's overhead. As in Kubernetes, overhead is not added to a limit that
 * the pod does not set.
 */
export function podAmountsWithOverhead(spec: PodAmounts, field: AmountField): Amounts {
  const total = new Map(podAmounts(spec, field));
  for (const [name, more] of amountsOf(spec.overhead)) {
    const before = total.get(name);
    if (before !== undefined) total.set(name, addQuantities(before, more));
    else if (field === "requests") total.set(name, more);
  }
  return total;
}

export function addAmounts(into: Map<string, Quantity>, more: Amounts): void {
  for (const [name, quantity] of more) {
    const before = into.get(name);
    into.set(name, before === undefined ? quantity : addQuantities(before, quantity));
  }
}

function keepLarger(into: Map<string, Quantity>, other: Amounts): void {
  for (const [name, quantity] of other) {
    const before = into.get(name);
    if (before === undefined || compareQuantities(before, quantity) < 0) into.set(name, quantity);
  }
}
