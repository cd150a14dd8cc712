import type { EnvironmentDrift, EnvironmentSchedule, EnvironmentSettings } from '../model/index.ts';
import { environmentDriftSchema, environmentScheduleSchema, systemActor } from '../model/index.ts';
import { getEnvironment } from '../store/index.ts';
import type { Context } from './context.ts';
import { saveSettings } from './life-settings.ts';

/** What a workflow file says about how its environment lives. */
export interface FileLife {
  readonly schedule?: { readonly deploy?: string; readonly destroy?: string; readonly timezone?: string } | undefined;
  readonly drift?: Partial<EnvironmentDrift> & Pick<EnvironmentDrift, 'cron'>;
}

/** What a person set stays as it is; all else is as the file says, also that there is none. */
function fromFile<T extends EnvironmentSchedule | EnvironmentDrift>(
  saved: T | undefined,
  file: T | undefined,
): T | undefined {
  return saved !== undefined && saved.fromFile !== true ? saved : file;
}

/** Takes the file's mark off what a person sets, who may be sending back what was read. */
export function setByHand(
  settings: EnvironmentSettings,
  names: readonly ('schedule' | 'drift')[] = ['schedule', 'drift'],
): EnvironmentSettings {
  const { schedule, drift } = settings;
  return {
    ...settings,
    ...(schedule && names.includes('schedule') ? { schedule: { ...schedule, fromFile: undefined } } : {}),
    ...(drift && names.includes('drift') ? { drift: { ...drift, fromFile: undefined } } : {}),
  };
}

/** For the end of a deploy. */
export function fileSettingsOperations(context: Context) {
  return {
    /** Makes schedule and drift check what the workflow file says, unless somebody set them by hand. May be repeated. */
    async applyFileSettings({ environmentId, life }: { environmentId: string; life: FileLife }): Promise<void> {
      const environment = await getEnvironment(context.db.sql, environmentId);
      if (environment.flags.archived) return;
      const schedule = life.schedule && environmentScheduleSchema.parse({ ...life.schedule, fromFile: true });
      const drift = life.drift && environmentDriftSchema.parse({ ...life.drift, fromFile: true });
      const settings = (saved: EnvironmentSettings): EnvironmentSettings => ({
        ...saved,
        schedule: fromFile(saved.schedule, schedule),
        drift: fromFile(saved.drift, drift),
      });
      const wanted = settings(environment.settings);
      const isSame = (['schedule', 'drift'] as const).every(
        (name) => JSON.stringify(wanted[name]) === JSON.stringify(environment.settings[name]),
      );
      if (isSame) return;
      await saveSettings(context, { actor: systemActor, environment, settings, action: 'environment.file' });
    },
  };
}
