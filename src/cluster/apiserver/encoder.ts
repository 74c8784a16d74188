import type { Clock } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { apiVersionOf, type ResourceType, type SchemaRegistry } from "../schema/contract.ts";
import type { StoredRecord } from "../store/index.ts";
import type { AnswerForm } from "./negotiate.ts";

export type IncludeObject = "None" | "Metadata" | "Object";

export interface ListMetadata {
  readonly resourceVersion: string;
  readonly continue?: string;
  readonly remainingItemCount?: number;
}

export interface TableView {
  readonly form: AnswerForm;
  /** What each row contains in `object`, beside the cells: the object, its metadata, or nothing. */
  readonly include: IncludeObject;
  /** Whether the table contains the definitions of its columns. A watch sends them only with its first event. */
  readonly withColumns: boolean;
}

const comma = Buffer.from(",");
const listEnd = Buffer.from("]}");

export class Encoder {
  readonly #registry: SchemaRegistry;
  readonly #clock: Clock;
  /** The encoded bytes of records in API versions other than the stored one. */
  readonly #converted = new WeakMap<StoredRecord, Map<string, Buffer>>();

  constructor(registry: SchemaRegistry, clock: Clock) {
    this.#registry = registry;
    this.#clock = clock;
  }

  /** The object in the type's version. Callers share the object, so they must not change it. */
  objectIn(record: StoredRecord, type: ResourceType): UntypedObject {
    return isStoredForm(record, type) ? record.object : this.#registry.convert(record.object, type);
  }

  bytesIn(record: StoredRecord, type: ResourceType): Buffer {
    if (isStoredForm(record, type)) return record.bytes;
    const apiVersion = apiVersionOf(type);
    let versions = this.#converted.get(record);
    if (versions === undefined) this.#converted.set(record, (versions = new Map()));
    let bytes = versions.get(apiVersion);
    if (bytes === undefined)
      versions.set(apiVersion, (bytes = Buffer.from(JSON.stringify(this.#registry.convert(record.object, type)))));
    return bytes;
  }

  object(
    type: ResourceType,
    object: UntypedObject,
    form: AnswerForm,
    include: IncludeObject,
    withColumns = true,
  ): Buffer {
    if (form.as === "object") return Buffer.from(JSON.stringify(object));
    if (form.as === "partial") return Buffer.from(JSON.stringify(this.#partial(object, form.metaVersion)));
    return this.#table(
      type,
      [object],
      { resourceVersion: object.metadata.resourceVersion ?? "" },
      { form, include, withColumns },
    );
  }

  record(type: ResourceType, record: StoredRecord, form: AnswerForm, include: IncludeObject): Buffer {
    if (form.as === "object") return this.bytesIn(record, type);
    return this.object(type, this.objectIn(record, type), form, include);
  }

  list(
    type: ResourceType,
    records: readonly StoredRecord[],
    metadata: ListMetadata,
    form: AnswerForm,
    include: IncludeObject,
  ): Buffer {
    if (form.as === "table") {
      return this.#table(
        type,
        records.map((record) => this.objectIn(record, type)),
        metadata,
        { form, include, withColumns: true },
      );
    }
    const partial = form.as === "partial";
    const kind = partial ? "PartialObjectMetadataList" : type.listKind;
    const apiVersion = partial ? `meta.k8s.io/${form.metaVersion}` : apiVersionOf(type);
    const parts: Buffer[] = [
      Buffer.from(`{"kind":"${kind}","apiVersion":"${apiVersion}","metadata":${JSON.stringify(metadata)},"items":[`),
    ];
    for (const record of records) {
      if (parts.length > 1) parts.push(comma);
      parts.push(this.record(type, record, form, include));
    }
    parts.push(listEnd);
    return Buffer.concat(parts);
  }

  /** Encodes a list of objects that are computed and not stored, such as metrics. */
  computedList(
    type: ResourceType,
    objects: readonly UntypedObject[],
    form: AnswerForm,
    include: IncludeObject,
  ): Buffer {
    if (form.as === "table")
      return this.#table(type, objects, { resourceVersion: "" }, { form, include, withColumns: true });
    const partial = form.as === "partial";
    return Buffer.from(
      JSON.stringify({
        kind: partial ? "PartialObjectMetadataList" : type.listKind,
        apiVersion: partial ? `meta.k8s.io/${form.metaVersion}` : apiVersionOf(type),
        metadata: {},
        items: partial ? objects.map((object) => this.#partial(object, form.metaVersion)) : objects,
      }),
    );
  }

  /** Encodes one line of a watch's answer. */
  event(type: ResourceType, eventType: string, record: StoredRecord, view: TableView): Buffer {
    const body =
      view.form.as === "table"
        ? this.#table(type, [this.objectIn(record, type)], { resourceVersion: String(record.revision) }, view)
        : this.record(type, record, view.form, view.include);
    return Buffer.concat([Buffer.from(`{"type":"${eventType}","object":`), body, Buffer.from("}\n")]);
  }

  #partial(object: UntypedObject, metaVersion: string): unknown {
    return { kind: "PartialObjectMetadata", apiVersion: `meta.k8s.io/${metaVersion}`, metadata: object.metadata };
  }

  #table(
    type: ResourceType,
    objects: readonly UntypedObject[],
    metadata: ListMetadata,
    { form, include, withColumns }: TableView,
  ): Buffer {
    const nowMs = this.#clock.nowMs();
    const rows = objects.map((object) => ({
      cells: this.#registry.tableCells(type, object, nowMs),
      ...this.#rowObject(object, form, include),
    }));
    const columnDefinitions = withColumns ? this.#registry.tableColumns(type) : null;
    return Buffer.from(
      JSON.stringify({
        kind: "Table",
        apiVersion: `meta.k8s.io/${form.metaVersion}`,
        metadata,
        columnDefinitions,
        rows,
      }),
    );
  }

  #rowObject(object: UntypedObject, form: AnswerForm, include: IncludeObject): { object?: unknown } {
    if (include === "None") return { object: null };
    return { object: include === "Object" ? object : this.#partial(object, form.metaVersion) };
  }
}

function isStoredForm(record: StoredRecord, type: ResourceType): boolean {
  return record.apiVersion === apiVersionOf(type);
}
