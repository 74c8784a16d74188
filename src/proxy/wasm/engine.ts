/** The compiled code of a module. It can be sent to other threads. */
export interface CompiledModule {
  readonly [Symbol.toStringTag]?: string;
}

export interface ModuleMemory {
  readonly buffer: ArrayBuffer;
}

interface ModuleImport {
  readonly module: string;
  readonly name: string;
  readonly kind: string;
}

export type ModuleExports = Readonly<Record<string, unknown>>;

/** The part of the runtime's WebAssembly API that is used here. TypeScript has no types for it. */
interface Engine {
  compile(code: Uint8Array): Promise<CompiledModule>;
  readonly Module: {
    exports(module: CompiledModule): readonly { readonly name: string }[];
    imports(module: CompiledModule): readonly ModuleImport[];
  };
  readonly Instance: new (module: CompiledModule, imports: object) => { readonly exports: ModuleExports };
  readonly Memory: new (limits: { readonly initial: number }) => ModuleMemory;
}

export const engine = Reflect.get(globalThis, "WebAssembly") as Engine;
