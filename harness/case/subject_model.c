/* The disk model that a subject names; see subject.h. */
#include "harness/case/subject.h"

#include "harness/drive/plant.h"

#include <string.h>

int subject_model(const struct subject *s, struct model *ret_model, struct err *err)
{
	struct model m;
	int rc = 0;

	if (s->model_defined)
		model_init(&m, s->model);
	else
		rc = model_find(s->model, &m, err);
	for (size_t i = 0; i < s->model_params.count && rc == 0; i++)
		rc = model_set(&m, s->model_params.items[i].key, s->model_params.items[i].value,
			       err);
	if (rc == 0)
		rc = model_check(&m, err);
	if (rc != 0)
		return rc;
	m.seed = s->seed;
	if (s->defect != NULL && strcmp(s->defect, PLANT_DISK_FORGETS) == 0)
		m.defect = MODEL_DISK_FORGETS;
	if (s->defect != NULL && strcmp(s->defect, PLANT_SEARCH_SKIPS) == 0)
		m.defect = MODEL_SEARCH_SKIPS;
	*ret_model = m;
	return 0;
}
