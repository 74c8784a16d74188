/** The part of JavaScript's WebAssembly API that is used here. TypeScript knows it only with the browser's library. */
interface WebAssemblyApi {
  readonly Module: new (bytes: Uint8Array) => WasmModule;
  readonly Instance: new (
    module: WasmModule,
    imports: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ) => { readonly exports: Readonly<Record<string, unknown>> };
  readonly RuntimeError: new () => Error;
}

export interface WasmModule {
  readonly [compiled]: true;
}

declare const compiled: unique symbol;

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

export interface WasmTable {
  grow(count: number): number;
  get(index: number): unknown;
  set(index: number, value: unknown): void;
}

export const webAssembly = Reflect.get(globalThis, "WebAssembly") as WebAssemblyApi;
