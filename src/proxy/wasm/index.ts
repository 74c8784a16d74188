// The WebAssembly modules of WasmPlugins, and the virtual machines that run them.
export { boundedModule } from "./bounded-module.ts";
export { engine } from "./engine.ts";
export { maxMemoryBytes, maxModuleBytes } from "./limits.ts";
export { ModuleMachine, type MachineServices } from "./module-machine.ts";
export { SharedStore } from "./shared-store.ts";
export { ModuleHost } from "./module-host.ts";
export { nodeAttributes } from "./node-attributes.ts";
