import { clone, type DescField } from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";

export interface MergeOptions {
  /** Whether lists are replaced. By default, the items of `source` are appended. */
  readonly replaceLists?: boolean;
}

/** Types whose fields form one value, so that they are not merged field by field. */
const wholeTypes = new Set(["google.protobuf.Duration"]);

/**
 * Merges `source` into `target` as protobuf does. Fields that are set in `source` win, messages are merged field by
 * field, lists are appended, and map entries with the same key are replaced. Unlike in protobuf, durations are replaced
 * as a whole. The messages of `source` are copied.
 */
export function mergeMessage(target: ReflectMessage, source: ReflectMessage, options: MergeOptions = {}): void {
  for (const field of source.fields) if (source.isSet(field)) mergeField(target, source, field, options);
  const unknown = source.getUnknown() ?? [];
  if (unknown.length > 0) target.setUnknown([...(target.getUnknown() ?? []), ...unknown]);
}

function mergeField(target: ReflectMessage, source: ReflectMessage, field: DescField, options: MergeOptions): void {
  switch (field.fieldKind) {
    case "list": {
      const into = target.get(field);
      if (options.replaceLists === true) into.clear();
      for (const item of source.get(field))
        into.add(field.listKind === "message" ? copyOf(item as ReflectMessage) : item);
      return;
    }
    case "map": {
      const into = target.get(field);
      for (const [key, value] of source.get(field))
        into.set(key, field.mapKind === "message" ? copyOf(value as ReflectMessage) : value);
      return;
    }
    case "message": {
      const value = source.get(field);
      if (wholeTypes.has(field.message.typeName)) return target.set(field, copyOf(value));
      const into = target.isSet(field) ? target.get(field) : reflect(field.message, undefined, false);
      mergeMessage(into, value, options);
      return target.set(field, into);
    }
    case "scalar":
      return target.set(field, source.get(field));
    default:
      return target.set(field, source.get(field));
  }
}

function copyOf(value: ReflectMessage): ReflectMessage {
  return reflect(value.desc, clone(value.desc, value.message), false);
}
