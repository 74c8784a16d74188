import type { UntypedObject } from "../../api/index.ts";
import type { BuiltInShapes } from "./built-in-shapes.ts";
import { apiVersionOf, type FieldError, type ResourceType, type TableColumn } from "./contract.ts";
import { applyBuiltInDefaults } from "./defaults/apply-defaults.ts";
import { Normaliser } from "./normalise.ts";
import { type ResourceModel } from "./resource-model.ts";
import type { StructShape } from "./shape.ts";
import { tableFormOf } from "./table/built-in-tables.ts";
import { validateBuiltIn } from "./validation/built-in.ts";
import { invariant } from "../../base/index.ts";

export class BuiltInModel implements ResourceModel {
  readonly type: ResourceType;
  readonly #shapes: BuiltInShapes;
  #shape: StructShape | undefined;

  constructor(type: ResourceType, shapes: BuiltInShapes) {
    this.type = type;
    this.#shapes = shapes;
  }

  get shape(): StructShape {
    this.#shape ??= this.#shapes.ofKind(apiVersionOf(this.type), this.type.kind);
    invariant(this.#shape !== undefined, `no type of ${this.type.kind} in the generated table`);
    return this.#shape;
  }

  dropUnknownFields(object: UntypedObject): readonly string[] {
    const normaliser = new Normaliser(apiVersionOf(this.type), this.type.kind);
    normaliser.struct(this.shape, object, "");
    return normaliser.unknown;
  }

  applyDefaults(object: UntypedObject): void {
    applyBuiltInDefaults(this.shape, object);
  }

  validate(object: UntypedObject, old: UntypedObject | undefined, subresource: string): readonly FieldError[] {
    return validateBuiltIn(this.type, object, old, subresource);
  }

  columns(): readonly TableColumn[] {
    return tableFormOf(this.type).columns;
  }

  cells(object: UntypedObject, nowMs: number): readonly unknown[] {
    return tableFormOf(this.type).cells(object, nowMs);
  }
}
