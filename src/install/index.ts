export { installedKindOf, installedKinds } from "./installed-kinds.ts";
export { profiles } from "./profiles.ts";
export { renderDefaultTag, renderInstall, type CustomResources, type RenderedComponent } from "./render.ts";
export { resolveSettings, type InstallDefaults, type InstallSettings, type SettingsSources } from "./settings.ts";
