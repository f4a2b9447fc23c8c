package api

func (a *API) joinRequestEndpoints() []endpoint {
	return nil
}
