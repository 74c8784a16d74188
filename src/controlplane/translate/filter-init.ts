import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { packed } from "./envoy-any.ts";

/** A filter: its name and its packed configuration. HTTP and network filters have the same form. */
export interface FilterInit {
  readonly name: string;
  readonly configType: { readonly case: "typedConfig"; readonly value: Any };
}

export function filterInit<Schema extends DescMessage>(
  name: string,
  schema: Schema,
  config: MessageInitShape<Schema>,
): FilterInit {
  return { name, configType: { case: "typedConfig", value: packed(schema, config) } };
}
