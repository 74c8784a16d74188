import { formatIssues, type FieldIssue, type KindDefinition, type KubernetesObject } from "../../api/index.ts";
import { serviceKind } from "../../api/kubernetes/index.ts";
import {
  serviceExportKind,
  serviceImportKind,
  type MultiClusterApi,
  type ServiceExport,
  type ServiceImport,
} from "../../api/multicluster/index.ts";
import type { Logger } from "../../base/index.ts";
import type { SourceCollection } from "../../kube/index.ts";
import type { ServiceExportFacts, ServiceImportFacts } from "../model/facts.ts";

/** The kinds of the Multi-Cluster Services API that are read. A kind that is absent is not read. */
export interface MultiClusterKinds {
  readonly exports?: KindDefinition<ServiceExport>;
  readonly imports?: KindDefinition<ServiceImport>;
}

export function multiClusterKinds(settings: {
  readonly api: MultiClusterApi;
  readonly discovery: boolean;
  readonly host: boolean;
  readonly autoExport: boolean;
}): MultiClusterKinds {
  const { api, discovery, host, autoExport } = settings;
  return {
    ...(discovery || autoExport ? { exports: serviceExportKind(api) } : {}),
    ...(host ? { imports: serviceImportKind(api) } : {}),
  };
}

/** Called with an object that was ignored as a whole or in part, and with its faults. */
export type TellOfIssues = (object: KubernetesObject, issues: readonly FieldIssue[]) => void;

export interface MultiClusterReading {
  readonly kinds: MultiClusterKinds;
  /** Called for an object that is ignored as a whole. */
  readonly refused: TellOfIssues;
  /** Called for fields that are ignored while the object's other fields are used. */
  readonly warned: TellOfIssues;
}

interface MultiClusterTargets {
  readonly serviceExports: SourceCollection<ServiceExportFacts>;
  readonly serviceImports: SourceCollection<ServiceImportFacts>;
}

type CreateFeed<Feed> = <Value extends KubernetesObject, Facts>(
  kind: KindDefinition<Value>,
  target: SourceCollection<Facts>,
  convert: (object: Value) => Facts | undefined,
) => Feed;

/** The feeds of these kinds for one cluster. A cluster may lack the CRDs, or forbid reading these kinds. */
export function multiClusterFeeds<Feed extends object>(
  create: CreateFeed<Feed>,
  { serviceExports, serviceImports }: MultiClusterTargets,
  { kinds, refused, warned }: MultiClusterReading,
  cluster: { readonly clusterId?: string } = {},
): readonly (Feed & { readonly isOptional: true })[] {
  const { exports, imports } = kinds;
  const named = ({ metadata }: KubernetesObject) => ({
    ...cluster,
    namespace: metadata.namespace ?? "",
    name: metadata.name ?? "",
  });
  const exportFacts = (object: ServiceExport): ServiceExportFacts => ({
    ...named(object),
    ownerUid: object.metadata.ownerReferences?.find(({ kind }) => kind === serviceKind.kind)?.uid ?? "",
  });
  const importFacts = (object: ServiceImport): ServiceImportFacts | undefined => {
    const parsed = imports?.parse?.(object);
    if (parsed === undefined) return undefined;
    if (parsed.warnings.length > 0) warned(object, parsed.warnings);
    if (parsed.value !== undefined) return { ...named(object), addresses: parsed.value.spec.ips };
    refused(object, parsed.errors);
    return undefined;
  };
  return [
    ...(exports === undefined ? [] : [{ ...create(exports, serviceExports, exportFacts), isOptional: true as const }]),
    ...(imports === undefined ? [] : [{ ...create(imports, serviceImports, importFacts), isOptional: true as const }]),
  ];
}

export function warnOfFields(log: Logger): TellOfIssues {
  return ({ kind, metadata }, issues) =>
    log.warn("fields of an object are ignored", {
      kind: kind ?? "",
      namespace: metadata.namespace ?? "",
      name: metadata.name ?? "",
      faults: formatIssues(issues),
    });
}
